from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live


@pytest.fixture(scope="session")
def target(live_database: Path) -> Iterator[live.Server]:
    """Our own server, as it is, for those whom it withstands one by one."""
    with live.serving("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as running:
        yield running


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open as many sockets as the machine allows, to the servers as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
