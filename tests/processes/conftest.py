"""The processes of a deployment: Valkey, sites without sockets, a worker, two servers.

Those of one session are shared by tests that leave them as they found them; each test has
channels of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import live
from tests.conftest import Valkey, running_valkey
from tests.processes.outages import TIMEOUT

Env = dict[str, str]


def environment(valkey: Valkey, database: Path, backplane: str = "redis", **more: str) -> Env:
    """Return what lets processes reach each other, and ``more``."""
    return {
        "BROADCAST_BACKPLANE": backplane,
        "BROADCASTING_TEST_DATABASE": str(database),
        "REDIS_URL": valkey.url,
        "CELERY_BROKER_URL": valkey.celery_url,
        **more,
    }


@pytest.fixture
def channel() -> str:
    """A public channel that no other test uses."""
    return f"news.{uuid4().hex}"


@pytest.fixture(scope="session", params=["channel_layer", "redis"])
def crossing(request: pytest.FixtureRequest, valkey: Valkey, live_database: Path) -> Env:
    """The environment of processes that reach each other: each backplane, and Celery."""
    return environment(valkey, live_database, request.param, BROADCAST_QUEUE="celery")


@pytest.fixture
def apart(crossing: Env) -> Env:
    """The same, with a broker database that no other worker looks into."""
    return crossing | {"CELERY_BROKER_URL": f"{crossing['CELERY_BROKER_URL']}?virtual_host=1"}


@pytest.fixture(scope="session")
def several(valkey: Valkey, live_database: Path) -> Env:
    """The environment of servers that reach each other, and queue nothing."""
    return environment(valkey, live_database, BROADCAST_QUEUE="sync")


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


@pytest.fixture(scope="session")
def fragile() -> Iterator[Valkey]:
    yield from running_valkey()


@pytest.fixture(
    scope="session", params=[pytest.param("channel_layer", marks=pytest.mark.full), "redis"]
)
def fragile_env(request: pytest.FixtureRequest, fragile: Valkey, live_database: Path) -> Env:
    timeout = str(TIMEOUT)
    return environment(fragile, live_database, request.param, BROADCAST_PUBLISH_TIMEOUT=timeout)


@pytest.fixture(scope="session")
def holder(fragile_env: Env) -> Iterator[live.Server]:
    """What holds the sockets."""
    with live.serving("uvicorn", fragile_env) as running:
        yield running


@pytest.fixture(scope="session")
def fragile_worker(fragile_env: Env) -> Iterator[None]:
    with live.working(fragile_env, "--concurrency", "1", supervised=True):
        yield


@pytest.fixture(scope="session")
def sites(fragile_env: Env) -> Iterator[Callable[[str, bool], live.Server]]:
    """Call it with QUEUE and RESCUE for a site that has them; each is started once."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def site(queue: str, rescue: bool) -> live.Server:
            env = {"BROADCAST_QUEUE": queue, "BROADCAST_RESCUE": "1" if rescue else ""}
            return running.enter_context(live.serving("wsgi", fragile_env | env))

        yield site


@pytest.fixture(scope="session")
def one(live_database: Path) -> Env:
    """The environment of a server by itself."""
    return {"BROADCASTING_TEST_DATABASE": str(live_database)}
