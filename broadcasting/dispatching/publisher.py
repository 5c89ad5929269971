"""One thread per process that hands events on for callers who may not wait.

First in, first out; made on first use and again after a fork. What it does must report
its own failures: nobody is left to raise them at.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from django.db import close_old_connections

logger = logging.getLogger("broadcasting.dispatching")

MAX_WAITING: Final = 10_000
"""Events that may wait; beyond that the newest are dropped, counted and logged."""

EXIT_SECONDS: Final = 2.0
"""How long a process that exits waits for them to leave."""

Work = Callable[[], object]


class Publisher:
    """Run pieces of work in order, in a daemon thread."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self.dropped = 0
        """Pieces of work that found the queue full."""

        self._max_waiting = max_waiting
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child must: threads and held locks do not come along."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: queue.Queue[Work] = queue.Queue(self._max_waiting)

    @property
    def unfinished(self) -> int:
        """How many pieces of work wait or are being done."""
        return self._waiting.unfinished_tasks

    def submit(self, work: Work) -> None:
        """Run ``work`` soon. Never blocks and never raises."""
        self._start()
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            self.dropped += 1
            logger.error("Dropped an event: %s others wait to be handed on", self._max_waiting)

    def flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until nothing waits or is being done."""
        if self._thread is None or threading.current_thread() is self._thread:
            return True
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: self.unfinished == 0, timeout)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="broadcasting-publisher", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            work = self._waiting.get()
            try:
                work()
            except Exception:
                logger.exception("An event could not be handed on")
            finally:
                # A queue that keeps its jobs in the database opened one for this thread.
                close_old_connections()
                self._waiting.task_done()
            del work


publisher = Publisher()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=publisher.reset)


@atexit.register
def finish(timeout: float = EXIT_SECONDS) -> None:
    """Wait for what was dispatched on running loops before the process ends; log what is lost."""
    if not publisher.flush(timeout):
        logger.error(
            "The process ends, and %s of its events were not handed on within %s s",
            publisher.unfinished,
            timeout,
        )
