"""How late an event loop is: one timer that measures its own lateness.

Everything of a node runs on its loop, so a timer that comes late says how long all others wait.
"""

from __future__ import annotations

import asyncio

PERIOD = 0.1
"""Seconds between two looks."""

REMEMBERED = 50
"""Looks whose lateness counts: the worst of them is told."""


class LoopLag:
    """Measures from when it is made until it is stopped."""

    __slots__ = ("_due", "_late", "_loop", "_timer", "_turn")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._late = [0.0] * REMEMBERED
        self._turn = 0
        self._schedule()

    @property
    def seconds(self) -> float:
        """The worst lateness of the last five seconds, that of a look which is overdue included."""
        return max(0.0, *self._late, self._loop.time() - self._due)

    def stop(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _schedule(self) -> None:
        self._due = self._loop.time() + PERIOD
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._late[self._turn] = self._loop.time() - self._due
        self._turn = (self._turn + 1) % REMEMBERED
        self._schedule()
