from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live


@pytest.fixture(scope="session")
def target(live_database: Path) -> Iterator[live.Server]:
    """Our own server, as it is, for those whom it withstands one by one."""
    with live.serving("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as running:
        yield running
