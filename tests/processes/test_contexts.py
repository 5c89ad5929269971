"""Wherever a program dispatches from and whatever its transaction comes to, with a live broker
and without: what arrives, what is raised, and how long the caller is held.

Each context plays all of tests/liveapp/outcomes.py. Without a queue the backplane is what is
dead, with Celery the broker; tasks run at once, as Django has them without a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import Peer
from tests.conftest import Valkey, frozen
from tests.liveapp.outcomes import DROPPED, KEPT, OUTCOMES
from tests.processes.conftest import Env
from tests.processes.origins import (
    COMMAND,
    CONTEXTS,
    TASK,
    Console,
    Play,
    Report,
    Task,
    play_in_view,
)
from tests.processes.outages import (
    HELD,
    RESUMED,
    Outage,
    numbered,
    refused,
    resumed,
    returning,
)

QUEUES = ("sync", "celery", "tasks")
ERRORS = {
    "sync": "BackplaneUnavailable",
    "celery": "QueueUnavailable",
    # It was taken, and failed: Django keeps the cause as a text.
    "tasks": "PublishError",
}
NOTHING_LEAVES = {"rollback", "both_undone"}
CALLED = "called below a sync view"

KINDS = ["uvicorn", pytest.param("wsgi", marks=pytest.mark.full)]
kinds = pytest.mark.parametrize("kind", KINDS)
outages = pytest.mark.parametrize("outage", [frozen, refused], ids=["frozen", "refused"])

Places = Callable[[live.Kind, str, str], Play]


@pytest.fixture(scope="session")
def places(fragile_env: Env, holder: live.Server) -> Iterator[Places]:
    """Call it with a server, QUEUE and a context; processes start once, when they are needed."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def site(kind: live.Kind, queue: str) -> live.Server:
            if (kind, queue) == (holder.kind, "sync"):
                return holder
            env = fragile_env | {"BROADCAST_QUEUE": queue}
            return running.enter_context(live.serving(kind, env))

        @functools.cache
        def console(queue: str) -> Console:
            made = Console(fragile_env | {"BROADCAST_QUEUE": queue})
            running.callback(made.close)
            return made

        def place(kind: live.Kind, queue: str, context: str) -> Play:
            if context == COMMAND:
                return console(queue).play
            return functools.partial(play_in_view, site(kind, queue), context)

        yield place


def errors(report: Report) -> dict[str, str | None]:
    return {said["outcome"]: said["error"] for said in report}


def expected(context: str, error: str | None) -> dict[str, str | None]:
    """Return what each outcome raises where whatever is sent fails with ``error``."""
    # Called in a loop, an event leaves once nobody is left to raise at, unless it is the commit
    # that fails: that is the caller's own.
    silent = NOTHING_LEAVES | ({"no_transaction"} if context == CALLED else set())
    names = [outcome.__name__ for outcome in OUTCOMES]
    return {name: None if name in silent else error for name in names}


async def recovered(play: Play, channel: str) -> None:
    """Return once the process that plays has connections, and knows of no outage before."""
    async with asyncio.timeout(RESUMED):
        while any(errors(await play(channel, False)).values()):
            await asyncio.sleep(0.05)  # nothing announces that another process tries again


async def expect_kept(peer: Peer) -> None:
    """Prove that what was committed arrives in its order, and nothing else."""
    assert [await numbered(peer) for _ in KEPT] == [*KEPT]
    await peer.silence()


@kinds
@pytest.mark.parametrize("queue", QUEUES)
async def test_what_is_committed_arrives_from_everywhere_and_nothing_else(
    holder: live.Server,
    fragile_worker: None,
    places: Places,
    kind: live.Kind,
    queue: str,
    channel: str,
):
    """App 8: rollback, savepoints and autocommit, in each context."""
    for number, context in enumerate(CONTEXTS):
        play = await asyncio.to_thread(places, kind, queue, context)
        await recovered(play, f"{channel}.before")
        async with returning(holder) as peer:
            own = f"{channel}.{number}"
            await peer.subscribe(own)
            assert errors(await play(own, False)) == expected(context, None), context
            await expect_kept(peer)


# At the same time, so that none of them knows of the outage yet.
@kinds
@pytest.mark.parametrize("queue", QUEUES)
@outages
async def test_with_a_dead_broker_nobody_is_held_and_failures_are_raised_or_rescued(
    outage: Outage,
    fragile: Valkey,
    holder: live.Server,
    fragile_worker: None,
    places: Places,
    kind: live.Kind,
    queue: str,
    channel: str,
):
    """App 8: what is rolled back raises nothing, for nothing was to be sent."""
    cases = [(context, rescue) for context in CONTEXTS for rescue in (False, True)]
    plays = [await asyncio.to_thread(places, kind, queue, context) for context, _ in cases]
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        for play in plays:
            await recovered(play, f"{channel}.before")
        with outage(fragile):
            reports = await asyncio.gather(
                *(play(channel, rescue) for play, (_, rescue) in zip(plays, cases, strict=True))
            )
            await peer.silence()
        came = await resumed(holder, peer, channel)
    for (context, rescue), report in zip(cases, reports, strict=True):
        error = None if rescue else ERRORS[queue]
        assert errors(report) == expected(context, error), (context, rescue)
        # All of what one request dispatched.
        assert sum(said["seconds"] for said in report) <= HELD, (context, rescue, report)
    assert not {*came} & {*DROPPED}


@pytest.mark.full
@pytest.mark.parametrize("rescue", [False, True], ids=["raised", "rescued"])
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("queue", QUEUES)
@outages
async def test_so_it_is_for_each_alone(
    outage: Outage,
    fragile: Valkey,
    holder: live.Server,
    fragile_worker: None,
    places: Places,
    queue: str,
    context: str,
    rescue: bool,
    channel: str,
):
    """The first to find out, in a process where nobody else tries."""
    play = await asyncio.to_thread(places, "uvicorn", queue, context)
    async with returning(holder) as peer:
        await peer.subscribe(channel)
        await recovered(play, f"{channel}.before")
        with outage(fragile):
            report = await play(channel, rescue)
        came = await resumed(holder, peer, channel)
    assert errors(report) == expected(context, None if rescue else ERRORS[queue])
    assert sum(said["seconds"] for said in report) <= HELD, report
    assert not {*came} & {*DROPPED}


@pytest.mark.full
@pytest.mark.parametrize("rescue", [False, True], ids=["raised", "rescued"])
@pytest.mark.parametrize("outage", [None, frozen, refused], ids=["up", "frozen", "refused"])
@pytest.mark.parametrize("queue", QUEUES)
async def test_so_it_is_in_a_celery_task(
    outage: Outage | None,
    fragile: Valkey,
    fragile_env: Env,
    holder: live.Server,
    places: Places,
    queue: str,
    rescue: bool,
    channel: str,
    tmp_path: Path,
):
    """It was begun while the broker lived; the worker is the one that then has none."""
    # A database of its own: what the session's worker took would run without this queue.
    apart = fragile_env | {"CELERY_BROKER_URL": f"{fragile.celery_url}?virtual_host=1"}
    env = apart | {"BROADCAST_QUEUE": queue}
    worker = functools.partial(live.working, env, "--concurrency", "1", supervised=True)
    with live.serving("wsgi", apart) as site, worker():
        async with returning(holder) as peer:
            await peer.subscribe(channel)
            task = Task(tmp_path)
            await task.begin(site, channel, rescue)
            if outage is None:
                assert errors(await task.play()) == expected(TASK, None)
                await expect_kept(peer)
                return
            with outage(fragile):
                report = await task.play()
            came = await resumed(holder, peer, channel)
    assert errors(report) == expected(TASK, None if rescue else ERRORS[queue])
    assert sum(said["seconds"] for said in report) <= HELD, report
    assert not {*came} & {*DROPPED}
