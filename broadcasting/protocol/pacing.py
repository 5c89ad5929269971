"""How fast one connection may send: what comes too soon waits, and nothing is lost.

Pure: it is told the time, and says how long to wait. No bucket, but a number: when the last
message would have come if they came evenly.
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

BREAK = 1.0
"""Seconds without a wait that are a break. A server that is late by less takes the next message
late, and that is no break of the peer's."""


class Pace:
    """The messages of one connection, and its subscriptions, which are counted apart.

    A client that returns subscribes to everything at once, so a connection may subscribe in
    one go to as many channels as it may be in.
    """

    __slots__ = ("_last", "_messages", "_subscriptions")

    def __init__(self) -> None:
        self._messages = self._last = _Flow()
        self._subscriptions = _Flow()

    def wait(self, application: Application, *, subscribes: bool, now: float) -> float:
        """Count one message; return the seconds until the next one may be taken.

        ``now`` in seconds, of any steady clock that began at or above zero.
        """
        if subscribes:
            limit = application.max_subscriptions_per_second
            burst = application.max_channels_per_connection or CHANNELS
            self._last = self._subscriptions
        else:
            limit = application.max_messages_per_second
            burst = (limit or 0) * BURST_SECONDS
            self._last = self._messages
        return 0.0 if limit is None else self._last.wait(limit, burst, now)

    def is_flood(self, now: float) -> bool:
        """Whether messages of the kind that came last have had to wait for too long."""
        held_since = self._last.held_since
        return held_since is not None and now - held_since >= PATIENCE


class _Flow:
    """Messages of one kind."""

    __slots__ = ("_due", "_held_until", "held_since")

    def __init__(self) -> None:
        self._due = 0.0
        self._held_until = 0.0
        self.held_since: float | None = None

    def wait(self, limit: int, burst: int, now: float) -> float:
        # Where hardly any may come at once, each is followed by a wait that means little.
        if now - self._held_until >= min(BREAK, burst / limit):
            self.held_since = None
        self._due = max(self._due, now) + 1 / limit
        seconds = self._due - (burst - 1) / limit - now
        if seconds < SHORTEST:
            return 0.0
        if self.held_since is None:
            self.held_since = now
        self._held_until = now + seconds
        return seconds
