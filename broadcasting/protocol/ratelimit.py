"""A token bucket that is told the time. Knows nothing of what it limits."""

from __future__ import annotations


class TokenBucket:
    """Allow ``limit`` actions a second, with bursts of up to ``limit``."""

    __slots__ = ("_last", "_tokens", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._tokens = float(limit)
        self._last = now

    def allow(self, now: float, tokens: int = 1) -> bool:
        """Take ``tokens`` if they are there. ``now`` in seconds, of any steady clock.

        More than ``limit`` at once are lent to a full bucket, and paid back by those who come
        next.
        """
        # A clock that stepped back must not let the same second count twice.
        elapsed = max(0.0, now - self._last)
        self._tokens = min(float(self.limit), self._tokens + elapsed * self.limit)
        self._last = max(self._last, now)
        if self._tokens < min(tokens, self.limit):
            return False
        self._tokens -= tokens
        return True

    def charge(self, now: float) -> None:
        """Take one that need not be there; at most a second's worth is owed."""
        self.allow(now, 0)  # counts the time that passed
        self._tokens = max(-float(self.limit), self._tokens - 1)

    def wait(self, tokens: int = 1) -> float:
        """Return the seconds, from the last look on, until ``tokens`` would be given."""
        return max(0.0, min(tokens, self.limit) - self._tokens) / self.limit
