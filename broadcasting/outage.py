"""Whether a transport is down, so that a dead broker costs a process one timeout, not many.

After a failure every further attempt is refused at once, but for one probe a second,
which tries for real. Knows nothing of what is transported. Safe from any thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from broadcasting.forking import ForkSafeLock

logger = logging.getLogger("broadcasting.outage")

PROBE_SECONDS = 1.0


class Outage:
    """The state of one transport, such as the backplane or the queue's broker."""

    def __init__(
        self,
        name: str,
        probe_seconds: float = PROBE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.failures = 0
        """How often this transport failed or was refused since the process began."""

        self._probe_seconds = probe_seconds
        self._clock = clock
        self._lock = ForkSafeLock()
        self._next_probe: float | None = None

    @property
    def down(self) -> bool:
        """Whether the last attempt failed."""
        return self._next_probe is not None

    def allows(self) -> bool:
        """Whether the caller may try: the transport is up, or it is time for one probe."""
        if not self.down:
            return True
        with self._lock:
            due = self._next_probe
            if due is None:  # it ended while we waited for the lock
                return True
            now = self._clock()
            if now < due:
                self.failures += 1
                return False
            self._next_probe = now + self._probe_seconds
            return True

    def failed(self, error: BaseException) -> None:
        """Note that an attempt failed; the first one is logged."""
        with self._lock:
            self.failures += 1
            first = self._next_probe is None
            self._next_probe = self._clock() + self._probe_seconds
        if first:
            logger.error(
                "The %s does not answer (%s: %s); trying again every %s s",
                self.name,
                type(error).__name__,
                error,
                self._probe_seconds,
            )

    def succeeded(self) -> None:
        """Note that an attempt went through."""
        if self._next_probe is None:
            return
        with self._lock:
            self._next_probe = None
        logger.warning("The %s answers again", self.name)
