"""Locks that a forked child finds open, whoever held them in its parent.

Threads do not come along into a child, so a lock that one of them held would stay locked there
for ever.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from types import TracebackType


class ForkSafeLock:
    """A reentrant lock for short, synchronous sections; ``with lock:``."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Held across a fork by the thread that forks, it is another one in the child.
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def renew(self) -> None:
        """Be open, as a new lock is."""
        self._lock = threading.RLock()


def _renew_all() -> None:
    for lock in tuple(_locks):
        lock.renew()


_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
