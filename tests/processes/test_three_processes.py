"""From a view through a Celery worker to a socket: three processes and a real Valkey."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.processes.conftest import Env
from tests.processes.sites import dispatch, expect


async def test_an_event_of_a_view_arrives_and_a_rolled_back_one_never_does(
    site: live.Server, worker: Path, crossing_server: live.Server, channel: str
):
    async with join(crossing_server) as peer:
        await peer.subscribe(channel)
        await dispatch(site, channel, 1, rollback=True)
        await dispatch(site, channel, 2)
        # One worker child: what was queued before 2 would be here before it.
        await expect(peer, channel, 2)
        await peer.silence()
    assert "broadcasting.run" in worker.read_text()


async def test_an_event_of_an_async_view_arrives(
    site: live.Server, worker: Path, crossing_server: live.Server, channel: str
):
    async with join(crossing_server) as peer:
        await peer.subscribe(channel)
        await dispatch(site, channel, 1, view="adispatch")
        await expect(peer, channel, 1)


async def test_the_tab_that_asked_is_left_out(
    site: live.Server, worker: Path, on_uvicorn: live.Server, channel: str
):
    """App 12: the id survives the queue."""
    async with join(on_uvicorn) as asking, join(on_uvicorn) as other:
        await asking.subscribe(channel)
        await other.subscribe(channel)
        await dispatch(site, channel, 1, to_others=True, socket_id=asking.socket_id)
        await dispatch(site, channel, 2)
        await expect(other, channel, 1, 2)
        await expect(asking, channel, 2)


@pytest.mark.full
@pytest.mark.parametrize("pool", ["solo", "threads"])
async def test_any_pool_of_the_worker_will_do(
    apart: Env, on_uvicorn: live.Server, channel: str, pool: str
):
    with (
        live.serving("wsgi", apart) as site,
        live.working(apart, "--pool", pool, "--concurrency", "1"),
    ):
        async with join(on_uvicorn) as peer:
            await peer.subscribe(channel)
            await dispatch(site, channel, 1, rollback=True)
            await dispatch(site, channel, 2)
            await expect(peer, channel, 2)


async def test_a_worker_that_comes_late_does_not_replay_old_news(
    apart: Env, on_uvicorn: live.Server, channel: str
):
    code = (
        "from tests.liveapp.events import Happened, ShortLived;"
        f"ShortLived({channel!r}, 1).dispatch(); Happened({channel!r}, 2).dispatch()"
    )
    async with join(on_uvicorn) as peer:
        await peer.subscribe(channel)
        done = live.run(apart, "-m", "django", "shell", "-c", code)
        assert done.returncode == 0, done.stderr
        # Its start takes longer than 1 may wait, whatever the machine.
        with live.working(apart, "--pool", "solo") as log:
            await expect(peer, channel, 2)
            await peer.silence()
            assert log.read_text().count("Discarding revoked task") == 1
