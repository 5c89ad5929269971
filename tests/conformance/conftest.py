from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live


@pytest.fixture(scope="session", params=live.WAYS)
def hasty_server(request: pytest.FixtureRequest, live_database: Path) -> Iterator[live.Server]:
    """A server of each kind that pings, forgets and gives up soon, mounted under /realtime."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_ACTIVITY_TIMEOUT": "0.4",
        "LIVE_PONG_TIMEOUT": "1.2",
        "LIVE_PATH": "/realtime",
        "LIVE_CACHE_TTL": "1",
    }
    with live.serving(request.param, env) as running:
        yield running
