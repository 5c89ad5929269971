"""What this node tells other nodes, in the order in which it happened.

Nobody waits for it: a socket that joins or leaves must not hang on a backplane that is away.
What could not be told is found out by the others when they compare revisions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from broadcasting.backplanes import BaseBackplane, Envelope
from broadcasting.exceptions import PublishError
from broadcasting.server.counters import Counters

logger = logging.getLogger("broadcasting.server")

MAX_WAITING = 100_000
"""Envelopes; of more, the newest are dropped and counted."""


class Post:
    """One queue of envelopes, sent one after the other."""

    def __init__(self, backplane: BaseBackplane, counters: Counters) -> None:
        self._backplane = backplane
        self._counters = counters
        self._waiting: deque[Envelope] = deque()
        self._task: asyncio.Task[None] | None = None

    def send(self, envelope: Envelope) -> None:
        """Publish ``envelope`` behind those before it."""
        if len(self._waiting) >= MAX_WAITING:
            self._counters.untold += 1
            return
        self._waiting.append(envelope)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send_all())

    async def sent(self, patience: float) -> None:
        """Return once nothing waits any more, or after ``patience`` seconds."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=patience)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send(self._waiting.popleft())
        finally:
            self._task = None

    async def _send(self, envelope: Envelope) -> None:
        try:
            await self._backplane.apublish(envelope)
        except PublishError as problem:
            # One line, and the counter: while a backplane is away all of them fail.
            if not self._counters.untold:
                logger.warning("Other nodes cannot be told what changed here: %s", problem)
            self._counters.untold += 1
        except Exception:  # a backplane of somebody else's raises what it likes
            self._counters.untold += 1
            logger.exception("Other nodes cannot be told what changed here")
