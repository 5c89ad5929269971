"""How fast one connection may send: what comes too soon waits, and nothing is lost.

Pure: it is told the time, and says how long to wait. Two numbers a connection, no bucket: when
the last message would have come if they came evenly.
"""

from __future__ import annotations

from broadcasting.protocol.application import Application

BURST_SECONDS = 10
"""So many seconds' worth of messages may come at once."""

CHANNELS = 1_000
"""Subscriptions at once where there is no limit to the channels of a connection."""

SHORTEST = 0.001
"""Seconds that are worth a wait."""

PATIENCE = 10.0
"""Seconds for which a connection may send too much without a break."""


class Pace:
    """The messages of one connection, and its subscriptions, which are counted apart.

    A client that returns subscribes to everything at once, so a connection may subscribe in
    one go to as many channels as it may be in.
    """

    __slots__ = ("_held_since", "_message_due", "_subscription_due")

    def __init__(self) -> None:
        self._message_due = 0.0
        self._subscription_due = 0.0
        self._held_since: float | None = None

    def wait(self, application: Application, *, subscribes: bool, now: float) -> float:
        """Count one message; return the seconds until the next one may be taken.

        ``now`` in seconds, of any steady clock that began at or above zero.
        """
        if subscribes:
            limit = application.max_subscriptions_per_second
            burst = application.max_channels_per_connection or CHANNELS
            due = self._subscription_due = _next(self._subscription_due, limit, now)
        else:
            limit = application.max_messages_per_second
            burst = (limit or 0) * BURST_SECONDS
            due = self._message_due = _next(self._message_due, limit, now)
        seconds = 0.0 if limit is None else max(0.0, due - (burst - 1) / limit - now)
        if seconds < SHORTEST:
            self._held_since = None
            return 0.0
        if self._held_since is None:
            self._held_since = now
        return seconds

    def is_flood(self, now: float) -> bool:
        """Whether everything had to wait for too long."""
        return self._held_since is not None and now - self._held_since >= PATIENCE


def _next(due: float, limit: int | None, now: float) -> float:
    return due if limit is None else max(due, now) + 1 / limit
