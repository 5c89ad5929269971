"""Valkey refuses or stands still: nobody is held for long, and delivery resumes by itself.

The same Valkey is Celery's broker and the backplane. It is frozen with SIGSTOP, so that
connections open and nothing answers, or stopped, and then started on the same path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests import live
from tests.conformance.peer import dial
from tests.conftest import Valkey, frozen
from tests.processes.conftest import Env
from tests.processes.outages import (
    AT_ONCE,
    HELD,
    Outage,
    numbered,
    refused,
    resumed,
    returning,
)
from tests.processes.sites import Answer, dispatch, expect


# Without a queue the site publishes through the backplane, with Celery the worker does.
@pytest.mark.parametrize("queue", ["sync", "celery"])
@pytest.mark.parametrize("rescue", [False, True], ids=["raised", "rescued"])
@pytest.mark.parametrize("outage", [frozen, refused], ids=["frozen", "refused"])
async def test_requests_are_held_for_a_moment_and_delivery_resumes(
    outage: Outage,
    fragile: Valkey,
    holder: live.Server,
    fragile_worker: None,
    sites: Callable[[str, bool], live.Server],
    queue: str,
    rescue: bool,
    channel: str,
):
    error = None
    if not rescue:
        error = {"sync": "BackplaneUnavailable", "celery": "QueueUnavailable"}[queue]
    site = await asyncio.to_thread(sites, queue, rescue)
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        for number, view in enumerate(("dispatch", "adispatch")):
            await dispatch(site, channel, number, view=view)
            await expect(peer, channel, number)
        with outage(fragile):
            # At the same time, so that none of them knows yet.
            first = await at_once(site, channel, 4)
            then = [
                await dispatch(site, channel, 100, view=view) for view in ("dispatch", "adispatch")
            ]
            # The server that holds the sockets has the same outage, and goes on.
            await peer.silence()
        await resumed(site, peer, channel)
    assert [answer.error for answer in [*first, *then]] == [error] * 6
    assert max(answer.seconds for answer in first) <= HELD
    assert max(answer.seconds for answer in then) <= AT_ONCE


@pytest.mark.parametrize("queue", ["sync", "celery"])
async def test_a_restart_that_nobody_saw_costs_no_event(
    fragile: Valkey,
    holder: live.Server,
    fragile_worker: None,
    sites: Callable[[str, bool], live.Server],
    queue: str,
    channel: str,
):
    """A connection of before it is dead, and the first who uses it finds out."""
    site = await asyncio.to_thread(sites, queue, False)
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        await resumed(site, peer, channel)
        with refused(fragile):
            pass
        # The server's own end of it is another matter.
        await resumed(holder, peer, channel, first=2_000_000)
        answer = await dispatch(site, channel, 1)
        assert answer.error is None
        while (await numbered(peer)) != 1:
            pass


async def test_the_views_of_the_server_itself_are_held_no_longer(
    fragile: Valkey, holder: live.Server, channel: str
):
    """An async view runs on the loop of the sockets, which must go on."""
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        with frozen(fragile):
            first = asyncio.create_task(at_once(holder, channel, 4))
            await peer.silence()
            answers = await first
            then = await dispatch(holder, channel, 100, view="adispatch")
        await resumed(holder, peer, channel)
    assert [answer.error for answer in answers] == ["BackplaneUnavailable"] * 4
    assert max(answer.seconds for answer in answers) <= HELD
    assert then.seconds <= AT_ONCE


@pytest.mark.parametrize("queue_name", ["sync", "celery"])
def test_a_process_that_never_saw_it_alive_is_held_once(
    fragile: Valkey, fragile_env: Env, queue_name: str
):
    """Connecting to a frozen server works; it is the first answer that does not come."""
    code = """if True:
        import time
        import kombu.transport.redis
        from broadcasting.backplanes import get_backplane
        from broadcasting.queues import get_queue
        from tests.liveapp.events import Happened

        get_queue(), getattr(get_backplane(), "layer", None)
        began = time.perf_counter()
        for number in range(5):
            Happened("news", number).dispatch()
        print(time.perf_counter() - began)
    """
    env = fragile_env | {"BROADCAST_QUEUE": queue_name, "BROADCAST_RESCUE": "1"}
    with frozen(fragile):
        done = live.run(env, "-m", "django", "shell", "-v", "0", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was not broadcast on news") == 5
    assert float(done.stdout) <= HELD


async def test_a_worker_tries_again_when_the_backplane_is_back(
    fragile: Valkey, holder: live.Server, fragile_env: Env, apart: Env, channel: str
):
    """The broker is another Valkey, which stays."""
    env = fragile_env | {
        "CELERY_BROKER_URL": apart["CELERY_BROKER_URL"],
        "BROADCAST_QUEUE": "celery",
    }
    with live.serving("wsgi", env) as site, live.working(env, "--concurrency", "1") as log:
        async with returning(holder) as peer:
            await peer.subscribe(channel)
            with refused(fragile):
                answer = await dispatch(site, channel, 1)
                await asyncio.to_thread(live.wait_for_line, log, "Retry in 1s")
            await expect(peer, channel, 1)
            await peer.silence()
    assert answer.error is None


async def test_a_socket_that_cannot_join_is_closed_and_may_return(
    fragile: Valkey, holder: live.Server, channel: str
):
    async with returning(holder) as peer:
        with refused(fragile):
            await peer.ask(channel)
            assert (await peer.expect("pusher:error"))["code"] == 4100
            assert (await peer.closed())[0] == 4100
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        await resumed(holder, peer, channel)


async def test_a_node_that_cannot_hear_its_application_takes_no_sockets(
    fragile: Valkey, fragile_env: Env
):
    """What the application asks of its nodes would not arrive there."""
    with refused(fragile), live.serving("uvicorn", fragile_env) as fresh:
        async with dial(fresh) as peer:
            assert (await peer.expect("pusher:error"))["code"] == 4100
            assert (await peer.closed())[0] == 4100


@pytest.mark.full
@pytest.mark.parametrize("outage", [frozen, refused], ids=["frozen", "refused"])
async def test_after_a_long_outage_delivery_resumes_as_quickly(
    outage: Outage, fragile: Valkey, holder: live.Server, channel: str
):
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        with outage(fragile):
            held = []
            until = time.monotonic() + 12
            while time.monotonic() < until:
                held.append((await dispatch(holder, channel, 1)).seconds)
                await asyncio.sleep(0.2)  # a visitor now and then, not a load test
        assert max(held) <= HELD
        async with asyncio.timeout(5):
            await resumed(holder, peer, channel)


async def at_once(site: live.Server, channel: str, count: int) -> list[Answer]:
    """Dispatch from sync and async views at the same time."""
    views = ["dispatch", "adispatch"] * (count // 2)
    return await asyncio.gather(*(dispatch(site, channel, 99, view=view) for view in views))
