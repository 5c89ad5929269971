"""The half of the outbox that reads: what was committed goes on, line by line in order.

At least once: an entry is deleted after it was handed on, so that a relay which is killed in
between leaves it to the next one, with the same id. Runs in a thread that may block.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass, replace
from os import urandom
from typing import TYPE_CHECKING, Final

from django.db import Error, close_old_connections
from django.utils import timezone

from broadcasting.queues.base import JobOptions, give_up, left_to_do, wait_before
from broadcasting.queues.outbox import rows
from broadcasting.queues.outbox.body import Body, UnreadableEntry

if TYPE_CHECKING:
    from broadcasting.models import OutboxEntry
    from broadcasting.queues.outbox.queue import OutboxQueue

logger = logging.getLogger("broadcasting.queue")

BUSY: Final = 0.05
"""Seconds until the next look while another relay claims."""


@dataclass(slots=True)
class Counters:
    """What the relays of this process have done."""

    relayed: int = 0
    """Entries handed on."""

    retried: int = 0
    """Attempts that failed, and were put off."""

    parked: int = 0
    """Entries given up."""

    expired: int = 0
    """Entries dropped, since they had waited too long."""

    unreadable: int = 0
    """Entries of a version that this process does not know. They are parked too."""


counters = Counters()


class Relay:
    """Hands on what the outbox of ``queue`` holds. Several may run at once, anywhere."""

    def __init__(self, queue: OutboxQueue) -> None:
        self.name = urandom(16).hex()
        self._queue = queue
        self._sleep = threading.Lock()
        """Held while there is no reason to look: an Event has a lock that a signal handler would
        wait for if it came at the wrong moment."""

        self._sleep.acquire()
        self._stopping = False
        self._away: set[str] = set()
        """Databases that could not be read when they were asked last."""

    def run(self) -> None:
        """Relay until stop() is called."""
        while not self._stopping:
            self._sleep.acquire(blocking=False)
            wait = self._look()
            if wait and not self._stopping:
                self._sleep.acquire(timeout=min(wait, threading.TIMEOUT_MAX))

    def stop(self) -> None:
        """Let run() return after the job that it is at. Safe in a signal handler."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Look now. Safe in a signal handler."""
        with contextlib.suppress(RuntimeError):  # somebody has said so already
            self._sleep.release()

    def relay_all(self) -> int:
        """Hand on what may leave until nothing is left that may; return how many entries it took.

        Raises what the database does.
        """
        total = 0
        while not self._stopping:
            taken = [self._relay_some(database) for database in self._queue.databases]
            total += sum(some or 0 for some in taken)
            if None in taken:
                self._sleep.acquire(timeout=BUSY)
            elif not any(taken):
                break
        return total

    def _look(self) -> float:
        """Return after how many seconds to look again."""
        close_old_connections()
        taken = [self._attempt(database) for database in self._queue.databases]
        if any(taken):
            return 0
        if None in taken:
            return min(BUSY, self._queue.poll)
        return max(1.0, self._queue.poll) if self._away else self._queue.poll

    def _attempt(self, database: str) -> int | None:
        """See _relay_some(); a database in trouble has nothing, and holds up no other."""
        try:
            taken = self._relay_some(database)
        except Exception as error:
            if database not in self._away:
                logger.warning(
                    "The outbox of %r cannot be read: %s: %s",
                    database,
                    type(error).__name__,
                    error,
                    # A mistake of ours, which must not end the relay either.
                    exc_info=not isinstance(error, Error),
                )
            self._away.add(database)
            return 0
        if database in self._away:
            logger.warning("The outbox of %r can be read again", database)
        self._away.discard(database)
        return taken

    def _relay_some(self, database: str) -> int | None:
        """Relay one batch; return how many entries it had, or None if another relay looks."""
        queue = self._queue
        # Half of it: a job may take long, and the other half is for the last one.
        ends = time.monotonic() + queue.lease / 2
        claimed = rows.claim(database, self.name, queue.lease, queue.batch)
        if not claimed:
            return None if claimed is None else 0
        finished: list[int] = []
        left: list[int] = []
        held: set[str] = set()
        try:
            for entry in claimed:
                lines = rows.lines_of(entry.lines)
                if self._stopping or time.monotonic() > ends or not held.isdisjoint(lines):
                    is_finished = False
                    left.append(entry.number)
                else:
                    is_finished = self._relay(database, entry)
                    if is_finished:
                        finished.append(entry.number)
                # One that was parked has settled itself, and holds nobody up.
                if not is_finished and entry.parked_at is None:
                    held.update(lines)
        finally:
            rows.done(database, self.name, finished)
            rows.release(database, self.name, left)
        return len(claimed)

    def _relay(self, database: str, entry: OutboxEntry) -> bool:
        """Return whether ``entry`` is done with; else it was put off or parked."""
        late = (timezone.now() - entry.expires_at).total_seconds()
        if late > 0:
            counters.expired += 1
            logger.warning("Dropped outbox entry %s: it expired %.1f s ago", entry, late)
            return True
        try:
            body = Body.from_text(entry.body)
        except UnreadableEntry as problem:
            counters.unreadable += 1
            self._park(database, entry, f"It cannot be read: {problem}")
            return False
        options = JobOptions(
            queue=body.queue,
            tries=body.tries,
            backoff=body.backoff,
            timeout=body.timeout,
            expires=-late,
            label=entry.label,
        )
        try:
            self._queue.hand_on(body.job, body.payload, options)
        except Exception as error:
            self._failed(database, entry, body, error)
            return False
        counters.relayed += 1
        return True

    def _failed(self, database: str, entry: OutboxEntry, body: Body, error: Exception) -> None:
        attempt = entry.attempts + 1
        wait = wait_before(attempt, self._queue.backoff, error)
        in_time = (entry.expires_at - timezone.now()).total_seconds() >= wait
        may_retry = attempt < max(body.tries, self._queue.tries) and in_time
        left = left_to_do(body.job, body.payload, error) if may_retry else None
        said = f"{type(error).__name__}: {error}"
        if left is None:
            self._park(database, entry, said)
            give_up(body.job, body.payload, error)
            return
        counters.retried += 1
        logger.warning("Outbox entry %s again in %g s (attempt %s): %s", entry, wait, attempt, said)
        name, payload = left
        body = replace(body, job=name, payload=payload)
        rows.postpone(database, self.name, entry, body, wait, said)

    def _park(self, database: str, entry: OutboxEntry, why: str) -> None:
        counters.parked += 1
        logger.error("Parked outbox entry %s: %s", entry, why)
        rows.park(database, self.name, entry, why)
        entry.parked_at = timezone.now()
