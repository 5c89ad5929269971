"""How many may come to a node in one second: a herd is served in turns, not all at once.

Whoever is one too many is sent away with 4100, from which clients return after a second,
before anything is looked up, verified or written for it.
"""

from __future__ import annotations

import logging

from broadcasting.conf import ServerSettings
from broadcasting.protocol.ratelimit import TokenBucket
from broadcasting.server.counters import Counters
from broadcasting.server.speaking import NowAndThen

logger = logging.getLogger("broadcasting.server")


class Admission:
    """What one node takes in. Used on its event loop only."""

    __slots__ = ("_counters", "_handshakes", "_line", "_said", "_subscriptions")

    def __init__(self, settings: ServerSettings, counters: Counters, now: float) -> None:
        """``now``: seconds of the clock that is asked with later."""
        self._counters = counters
        self._handshakes = _bucket(settings.max_handshakes_per_second, now)
        self._subscriptions = _bucket(settings.max_subscriptions_per_second, now)
        self._line = NowAndThen()
        self._said = 0

    def admits_socket(self, now: float) -> bool:
        """Whether one more handshake fits into this second."""
        if self._handshakes is None or self._handshakes.allow(now):
            return True
        self._counters.handshakes_shed += 1
        self._report()
        return False

    def admits_subscription(self, now: float, *, first: bool) -> bool:
        """Whether a socket may subscribe now; ``first``: it is in no channel yet.

        One that is in a channel always may: sent away, it would only do all of it again. What
        it takes is owed to those who come next.
        """
        bucket = self._subscriptions
        if bucket is None:
            return True
        if not first:
            bucket.charge(now)
            return True
        if bucket.allow(now):
            return True
        self._counters.subscriptions_shed += 1
        self._report()
        return False

    def _report(self) -> None:
        """Log what was shed since the last line, unless that was just now."""
        if not self._line.may_speak():
            return
        shed = self._counters.handshakes_shed + self._counters.subscriptions_shed
        logger.warning(
            "Sent %d sockets away for a second, since too many came at once: see"
            " MAX_HANDSHAKES_PER_SECOND and MAX_SUBSCRIPTIONS_PER_SECOND in"
            " BROADCASTING['SERVER']",
            shed - self._said,
        )
        self._said = shed


def _bucket(limit: int | None, now: float) -> TokenBucket | None:
    return None if limit is None else TokenBucket(limit, now)
