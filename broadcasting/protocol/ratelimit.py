"""A token bucket that is told the time. Knows nothing of what it limits."""

from __future__ import annotations


class TokenBucket:
    """Allow ``limit`` actions a second, with bursts of up to ``limit``."""

    __slots__ = ("_last", "_tokens", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._tokens = float(limit)
        self._last = now

    def allow(self, now: float) -> bool:
        """Take one token if there is one. ``now`` in seconds, of any steady clock."""
        # A clock that stepped back must not let the same second count twice.
        elapsed = max(0.0, now - self._last)
        self._tokens = min(float(self.limit), self._tokens + elapsed * self.limit)
        self._last = max(self._last, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
