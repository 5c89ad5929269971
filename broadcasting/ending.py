"""Ending tasks for good, though what they wait for may swallow that they were cancelled.

On Python 3.11 ``asyncio.wait_for()``, through which redis-py sends, loses a cancellation that comes
as what it waits for is done; and libraries have mistakes of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

TIMES = 4
"""How often a task is cancelled. Not at once again: it may have things to tidy up."""


async def end(tasks: Collection[asyncio.Future[Any]], patience: float) -> set[asyncio.Future[Any]]:
    """Cancel ``tasks`` and wait for them; return those that go on after ``patience`` seconds.

    Those that join the collection meanwhile are meant as well. What they raise is of no interest
    any more.
    """
    for _ in range(TIMES):
        running = _running(tasks)
        if not running:
            break
        for task in running:
            task.cancel()
        ended, _ = await asyncio.wait(running, timeout=patience / TIMES)
        await asyncio.gather(*ended, return_exceptions=True)
    return _running(tasks)


def _running(tasks: Collection[asyncio.Future[Any]]) -> set[asyncio.Future[Any]]:
    return {task for task in tasks if not task.done()}
