"""A map whose entries are gone after a while, bounded, and safe from any thread.

It is told the time by a clock, and knows nothing of what it keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

from broadcasting.forking import ForkSafeLock

K = TypeVar("K")
V = TypeVar("V")


class ExpiringMap(Generic[K, V]):
    """Entries of ``limit`` weight at most; the oldest go first when there are more."""

    def __init__(
        self, limit: int, clock: Callable[[], float], weigh: Callable[[V], int] = lambda _: 1
    ) -> None:
        self.evicted = 0
        """Entries that went before their time."""

        self.last_evicted: V | None = None
        """The newest of those that went to make room."""

        self._limit = limit
        self._clock = clock
        self._weigh = weigh
        self._weight = 0
        self._lock = ForkSafeLock()
        # In the order in which they were put, which is nearly that of their ends.
        self._entries: dict[K, tuple[V, float]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds, instead of what was kept before."""
        with self._lock:
            self._put(key, value, self._clock(), ttl)

    def add(self, key: K, value: V, ttl: float) -> bool:
        """Keep ``value`` for ``ttl`` seconds, unless something is kept; return whether it was."""
        with self._lock:
            now = self._clock()
            entry = self._entries.get(key)
            if entry is not None and entry[1] > now:
                return False
            self._put(key, value, now, ttl)
            return True

    def get(self, key: K) -> tuple[V, float] | None:
        """Return what is kept, and for how many seconds more."""
        entry = self._entries.get(key)
        left = 0.0 if entry is None else entry[1] - self._clock()
        return (entry[0], left) if entry is not None and left > 0 else None

    def drop(self, key: K) -> None:
        """Keep nothing; harmless when nothing was kept."""
        with self._lock:
            self._remove(key)

    def _put(self, key: K, value: V, now: float, ttl: float) -> None:
        self._remove(key)
        if self._weigh(value) > self._limit:
            self.evicted += 1  # and not all the others for it
            return
        self._entries[key] = (value, now + ttl)
        self._weight += self._weigh(value)
        # A few each time, so that nobody ever waits for a great cleaning.
        for oldest in tuple(islice(self._entries, 2)):
            if self._entries[oldest][1] > now:
                break
            self._remove(oldest)
        while self._weight > self._limit:
            oldest = next(iter(self._entries))
            self.last_evicted = self._entries[oldest][0]
            self._remove(oldest)
            self.evicted += 1

    def _remove(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= self._weigh(entry[0])
