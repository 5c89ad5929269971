"""Threads that do pieces of work one after the other, for callers who may not wait.

First in, first out; made on first use and again after a fork. What they do should report
its own failures: nobody is left to raise them at. Knows nothing of what the work is.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from django.db import close_old_connections

MAX_WAITING: Final = 10_000
"""Pieces of work that may wait; beyond that the newest are dropped, counted and logged."""

EXIT_SECONDS: Final = 2.0
"""How long a process that exits waits for them."""

Work = Callable[[], object]


class Serial:
    """Run pieces of work in order, in one daemon thread.

    ``what``: what the pieces are called in logs, as ``events``; ``logger``: where they go.
    """

    def __init__(
        self, name: str, what: str, logger: logging.Logger, max_waiting: int = MAX_WAITING
    ) -> None:
        self.name = name
        self.dropped = 0
        """Pieces of work that found the queue full."""

        self._what = what
        self._logger = logger
        self._max_waiting = max_waiting
        self.reset()
        _serials.add(self)

    def reset(self) -> None:
        """Begin anew, as a forked child must: threads and held locks do not come along."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: queue.Queue[Work] = queue.Queue(self._max_waiting)
        self._is_full = False

    def start(self) -> None:
        """Make the thread now, for work that may come when the interpreter makes none.

        Raises RuntimeError when that is so already.
        """
        if self._lives():
            return
        with self._lock:
            if not self._lives():
                thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                thread.start()
                self._thread = thread

    @property
    def unfinished(self) -> int:
        """How many pieces of work wait or are being done."""
        return self._waiting.unfinished_tasks

    def submit(self, work: Work) -> bool:
        """Run ``work`` soon; False if it was dropped. Never blocks and never raises."""
        try:
            self.start()
        except RuntimeError:  # the interpreter ends, and makes no threads
            self.dropped += 1
            return False
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            self.dropped += 1
            if not self._is_full:  # once, not for each of a flood
                self._is_full = True
                self._logger.error(
                    "The newest %s are dropped: %s others wait", self._what, self._max_waiting
                )
            return False
        # Not with each place that becomes free in a flood.
        if self._is_full and self._waiting.qsize() <= self._max_waiting // 2:
            self._is_full = False
        return True

    def flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until nothing waits or is being done."""
        if self._thread is None or threading.current_thread() is self._thread:
            return True
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: self.unfinished == 0, timeout)

    def finish(self, timeout: float) -> None:
        """Wait as flush() does before the process ends; log what is lost."""
        if not self.flush(timeout):
            self._logger.error(
                "The process ends, and %s %s were not handed on within %.2f s",
                self.unfinished,
                self._what,
                timeout,
            )

    def _lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while True:
            work = self._waiting.get()
            try:
                self._do(work)
            finally:
                del work
                self._waiting.task_done()

    def _do(self, work: Work) -> None:
        # BaseException, for CancelledError and SystemExit are the business of one piece of work:
        # the thread must live on for the others.
        try:
            work()
        except BaseException:
            self._logger.exception("One of the %s could not be handed on", self._what)
        try:
            # The work may have opened one for this thread, as jobs kept in a database do.
            close_old_connections()
        except BaseException:
            self._logger.exception("A database connection could not be closed")


@atexit.register
def finish_all(timeout: float = EXIT_SECONDS) -> None:
    """Let every thread finish what waits for it, ``timeout`` seconds in all."""
    ends = time.monotonic() + timeout
    for serial in tuple(_serials):
        serial.finish(max(0.0, ends - time.monotonic()))


def _reset_all() -> None:
    for serial in tuple(_serials):
        serial.reset()


_serials: weakref.WeakSet[Serial] = weakref.WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
