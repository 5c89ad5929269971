"""How many connections a channel has, told to them: at once while they are few, now and then
when they are many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from broadcasting.protocol.application import Application

MANY = 100
"""Above so many connections the count is told once an interval (Pusher's rule)."""

Tell = Callable[[Application, str, int, int], None]


@dataclass(frozen=True, slots=True)
class Told:
    """A count that subscribers know."""

    count: int
    order: int
    """See broadcasting.registry.Joined."""


@dataclass(slots=True)
class _Pause:
    """A channel of many, between two tellings."""

    application: Application
    told: int
    count: int
    order: int
    timer: asyncio.TimerHandle


class Counts:
    """Passes changes of counts on, no more often than subscribers should hear of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, tell: Tell) -> None:
        self._loop = loop
        self._interval = interval
        self._tell = tell
        self._pauses: dict[tuple[str, str], _Pause] = {}
        self._told: dict[tuple[str, str], Told] = {}
        """What was told last on this node, of channels that other nodes tell of, too."""

        self._doubts: dict[tuple[str, str], int] = {}
        """The orders of what was told, and the registry knew otherwise at the last look."""

    def changed(self, application: Application, channel: str, count: int, order: int = 0) -> None:
        """Tell ``count`` now, or the last one of the interval when it ends."""
        topic = (application.id, channel)
        pause = self._pauses.get(topic)
        if pause is not None and count > MANY:
            pause.count, pause.order = count, order
            return
        if pause is not None:
            self._pauses.pop(topic).timer.cancel()
        self._tell(application, channel, count, order)
        if count > MANY:
            timer = self._loop.call_later(self._interval, self._resume, topic)
            self._pauses[topic] = _Pause(application, count, count, order, timer)

    def is_news(self, topic: tuple[str, str], count: int, order: int) -> bool:
        """Whether a count of this order is newer than what was told; it counts as told then."""
        told = self._told.get(topic)
        if told is not None and order <= told.order:
            return False
        self._told[topic] = Told(count, order)
        return True

    def newest(self, topic: tuple[str, str]) -> Told | None:
        """Return what was told last, if other nodes tell of ``topic``, too."""
        return self._told.get(topic)

    def topics(self) -> tuple[tuple[str, str], ...]:
        """Return the channels that other nodes tell of, too."""
        return tuple(self._told)

    def is_wrong(self, topic: tuple[str, str], count: int) -> bool:
        """Whether ``count``, the registry's, has to be told: what other nodes told was lost.

        Not at the first look: it may be on its way. It counts as told then.
        """
        told = self._told.get(topic)
        if told is None or told.count == count:
            self._doubts.pop(topic, None)
            return False
        if self._doubts.get(topic) != told.order:
            self._doubts[topic] = told.order
            return False
        self._told[topic] = Told(count, told.order)
        return True

    def forget(self, topic: tuple[str, str]) -> None:
        """Nobody here hears of ``topic`` any more."""
        self._told.pop(topic, None)
        self._doubts.pop(topic, None)

    def close(self) -> None:
        """Tell nothing any more."""
        for pause in self._pauses.values():
            pause.timer.cancel()
        self._pauses.clear()
        self._told.clear()
        self._doubts.clear()

    def _resume(self, topic: tuple[str, str]) -> None:
        pause = self._pauses.pop(topic)
        if pause.count != pause.told:
            self.changed(pause.application, topic[1], pause.count, pause.order)
