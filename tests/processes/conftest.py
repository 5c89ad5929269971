"""The processes of a deployment: Valkey, sites without sockets, a worker, two servers.

Those of one session are shared by tests that leave them as they found them; each test has
channels of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import live
from tests.conftest import Valkey

Env = dict[str, str]


@pytest.fixture
def channel() -> str:
    """A public channel that no other test uses."""
    return f"news.{uuid4().hex}"


@pytest.fixture(scope="session", params=["channel_layer", "redis"])
def crossing(request: pytest.FixtureRequest, valkey: Valkey, live_database: Path) -> Env:
    """The environment of processes that reach each other: each backplane, and Celery."""
    return {
        "BROADCAST_BACKPLANE": request.param,
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "REDIS_URL": valkey.url,
        "CELERY_BROKER_URL": valkey.celery_url,
        "BROADCAST_QUEUE": "celery",
    }


@pytest.fixture
def apart(crossing: Env) -> Env:
    """The same, with a broker database that no other worker looks into."""
    return crossing | {"CELERY_BROKER_URL": f"{crossing['CELERY_BROKER_URL']}?virtual_host=1"}


@pytest.fixture(scope="session")
def site(crossing: Env) -> Iterator[live.Server]:
    """A WSGI process that holds no sockets and queues through Celery."""
    with live.serving("wsgi", crossing) as running:
        yield running


@pytest.fixture(scope="session")
def worker(crossing: Env) -> Iterator[Path]:
    """The log of a prefork worker with one child, so that jobs keep their order."""
    with live.working(crossing, "--pool", "prefork", "--concurrency", "1") as log:
        yield log


@pytest.fixture(scope="session")
def on_uvicorn(crossing: Env) -> Iterator[live.Server]:
    """Holds sockets; its own views broadcast without a queue."""
    with live.serving("uvicorn", crossing | {"BROADCAST_QUEUE": "sync"}) as running:
        yield running


@pytest.fixture(scope="session")
def on_daphne(crossing: Env) -> Iterator[live.Server]:
    """See on_uvicorn()."""
    with live.serving("daphne", crossing | {"BROADCAST_QUEUE": "sync"}) as running:
        yield running


@pytest.fixture(params=["uvicorn", "daphne"])
def crossing_server(request: pytest.FixtureRequest) -> live.Server:
    """Each of the two servers that hold the sockets of this deployment."""
    running: live.Server = request.getfixturevalue(f"on_{request.param}")
    return running
