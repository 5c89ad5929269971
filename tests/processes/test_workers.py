"""What a Celery worker decides: sites dispatch and end, then a worker begins, a socket listens.

The jobs of all sites wait before there is a worker, so nothing here depends on who is faster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.conftest import Valkey
from tests.processes.conftest import Env
from tests.processes.sites import expect

BROADCASTERS = {
    "default": {"BACKEND": "channels"},
    "null": {"BACKEND": "null"},
    "refusing": {"BACKEND": "tests.liveapp.broadcasters.Refusing"},
}


@pytest.fixture(scope="module")
def env(valkey: Valkey, live_database: Path) -> Env:
    return {
        "BROADCAST_BACKPLANE": "redis",
        "BROADCAST_QUEUE": "celery",
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "REDIS_URL": valkey.url,
        "LIVE_CACHE_URL": f"{valkey.url}?db=3",
        # Which no other worker looks into.
        "CELERY_BROKER_URL": f"{valkey.celery_url}?virtual_host=2",
        "LIVE_BROADCASTERS": json.dumps(BROADCASTERS),
    }


@pytest.fixture(scope="module")
def server(env: Env) -> Iterator[live.Server]:
    with live.serving("uvicorn", env) as running:
        yield running


def dispatch(env: Env, *events: str) -> None:
    """Dispatch events in a process that ends then, as ``"Happened(channel, 1)"``."""
    lines = ["from tests.liveapp.events import *", *(f"{event}.dispatch()" for event in events)]
    done = live.run(env, "-m", "django", "shell", "--no-imports", "-c", "\n".join(lines))
    assert done.returncode == 0, done.stderr


async def test_another_process_renders(env: Env, server: live.Server, channel: str) -> None:
    """App 6: name, channels and payload are asked for in the worker."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        dispatch(env, f"InWorker({channel!r}, 1)", f"InWorker({channel!r}, 2)")
        with live.working(env, "--pool", "solo"):
            found = [json.loads(await peer.expect("InWorker", channel)) for _ in range(2)]
    assert [data["number"] for data in found] == [1, 2]
    # One process made both, and the site that dispatched them has ended before it began.
    assert len({data["process"] for data in found}) == 1


async def test_an_event_hears_there_that_nobody_took_it(
    env: Env, server: live.Server, channel: str
) -> None:
    """App 11: broadcast_failed() is called in the worker, once."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        dispatch(env, f"Given({channel!r}, 1)", f"Happened({channel!r}, 2)")
        with live.working(env, "--pool", "solo"):
            await expect(peer, channel, 1, 2)
            await peer.silence()


async def test_one_of_its_kind_waits_whichever_site_dispatches(
    env: Env, server: live.Server, channel: str
) -> None:
    """App 10: the lock holds across processes, and ends with the job."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        dispatch(env, f"Once({channel!r}, 1)")
        dispatch(env, f"Once({channel!r}, 2)", f"Happened({channel!r}, 3)")
        with live.working(env, "--pool", "solo"):
            await expect(peer, channel, 1, 3)
            dispatch(env, f"Once({channel!r}, 4)")
            await expect(peer, channel, 4)
            await peer.silence()


async def test_middleware_stands_around_the_job_of_several_broadcasters_once(
    env: Env, server: live.Server, channel: str
) -> None:
    """App 11: middleware is run by the worker."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        dispatch(env, f"Surrounded({channel!r}, 2)", f"Happened({channel!r}, 4)")
        with live.working(env, "--pool", "solo"):
            await expect(peer, channel, 1, 2, 3, 4)
            await peer.silence()


async def test_the_last_of_a_burst_of_two_sites_is_the_one_that_leaves(
    env: Env, server: live.Server, channel: str
) -> None:
    async with join(server) as peer:
        await peer.subscribe(channel)
        dispatch(env, f"Settling({channel!r}, 1)", f"Settling({channel!r}, 2)")
        dispatch(env, f"Settling({channel!r}, 3)")
        with live.working(env, "--pool", "solo"):
            await expect(peer, channel, 3)
            await peer.silence()
