"""Pieces of work that are due a little later, the last one of each key only.

One thread per process, made on first use and again after a fork; it only watches the clock and
hands what is due to the publisher. A process that exits hands on everything at once.
"""

from __future__ import annotations

import atexit
import heapq
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from broadcasting.backplanes.background import background
from broadcasting.dispatching.publisher import publisher

MAX_KEYS: Final = 10_000
"""Keys of which something may wait. What comes then is not held back."""

Work = Callable[[], object]

logger = logging.getLogger("broadcasting.dispatching")


class Timer:
    """Hold back what later() is given until it is due, or release() is called."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must: what waits is its parent's to send."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._has_ended = False
        self._works: dict[str, tuple[float, Work, Work]] = {}
        # When to look at a key again, never later than what waits for it; and which look counts.
        self._looks: list[tuple[float, str]] = []
        self._next: dict[str, float] = {}

    def later(self, key: str, seconds: float, work: Work, superseded: Work) -> bool:
        """Do ``work`` in ``seconds``, in place of what waits for ``key``.

        ``superseded`` is called instead if something else takes its place. False if it cannot wait
        here: too much does, or the process ends.
        """
        due = time.monotonic() + seconds
        try:
            self._start()
        except RuntimeError:
            return False
        with self._changed:
            waiting = self._works.get(key)
            if self._has_ended or (waiting is None and len(self._works) >= MAX_KEYS):
                return False
            self._works[key] = (due, work, superseded)
            if key not in self._next or due < self._next[key]:
                self._look(key, due)
                self._changed.notify()
        if waiting is not None:
            waiting[2]()
        return True

    def drop(self, key: str) -> None:
        """Forget what waits for ``key``."""
        with self._changed:
            waiting = self._works.pop(key, None)
        if waiting is not None:
            waiting[2]()

    def release(self) -> None:
        """Hand on at once whatever waits."""
        with self._changed:
            works = [work for _, work, _ in self._works.values()]
            self._works, self._looks, self._next = {}, [], {}
        for work in works:
            publisher.submit(work)

    def end(self) -> None:
        """Hand on at once whatever waits, and hold nothing back any more."""
        with self._changed:
            self._has_ended = True
        self.release()

    def _start(self) -> None:
        # These too: a process that ends makes no threads, and there is still work for them.
        background.start()
        publisher.start()
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="broadcasting-timer", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            for work in self._due():
                publisher.submit(work)

    def _due(self) -> list[Work]:
        """Wait until something may be due; return what is."""
        with self._changed:
            wait = self._looks[0][0] - time.monotonic() if self._looks else None
            if wait is None or wait > 0:
                self._changed.wait(wait)
            due: list[Work] = []
            now = time.monotonic()
            while self._looks and self._looks[0][0] <= now:
                when, key = heapq.heappop(self._looks)
                if self._next.get(key) != when:
                    continue
                del self._next[key]
                found = self._works.get(key)
                if found is not None and found[0] <= now:
                    due.append(self._works.pop(key)[1])
                elif found is not None:
                    self._look(key, found[0])
            return due

    def _look(self, key: str, when: float) -> None:
        self._next[key] = when
        heapq.heappush(self._looks, (when, key))


timer = Timer()

# After that of the publisher, which is imported before, and so called before it.
atexit.register(timer.end)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=timer.reset)
