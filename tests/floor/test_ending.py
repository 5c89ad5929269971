"""Ending tasks that swallow a cancellation, tidy up, or begin others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

from broadcasting.ending import TIMES, end


async def stubborn(swallows: int) -> None:
    for _ in range(swallows):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def begun(*swallows: int) -> set[asyncio.Future[None]]:
    return {asyncio.ensure_future(stubborn(times)) for times in swallows}


async def test_those_that_swallow_it_are_told_again() -> None:
    tasks = begun(1, TIMES - 1)
    await asyncio.sleep(0)
    assert await end(tasks, 0.2) == set()
    assert all(task.done() for task in tasks)


async def test_those_that_go_on_are_returned() -> None:
    (task,) = tasks = begun(2 * TIMES)
    await asyncio.sleep(0)
    assert await end(tasks, 0.05) == {task}
    assert await end(tasks, 0.2) == set()


async def test_what_they_begin_meanwhile_is_ended_too() -> None:
    tasks: set[asyncio.Future[None]] = set()

    async def begin_another() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        tasks.add(asyncio.ensure_future(asyncio.Event().wait()))  # type: ignore[arg-type]

    tasks.add(asyncio.ensure_future(begin_another()))
    await asyncio.sleep(0)
    assert await end(tasks, 1) == set()
    assert len(tasks) == 2
    assert all(task.done() for task in tasks)


async def test_nobody_is_told_while_one_tidies_up() -> None:
    tidied = asyncio.Event()

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            tidied.set()

    task = asyncio.ensure_future(tidy())
    await asyncio.sleep(0)
    assert await end({task}, 60) == set()
    assert tidied.is_set()
