"""Answers that wait for a peer to read them. Whoever asks on and on must read first.

What is broadcast is shared by all who hear it; answers are one peer's own, in any number.
"""

from __future__ import annotations

import asyncio

from broadcasting.server.waiting import wake

BOUND = 16_384
"""Bytes that may wait, beyond which the peer is not heard."""

OVERHEAD = 512
"""Bytes that an answer takes beside those on the wire, about."""


class Unread:
    """Those of one socket that is behind."""

    __slots__ = ("_bytes", "_frames", "_waiter")

    def __init__(self) -> None:
        self._bytes = 0
        """Of answers that were put into the outbox since it was empty, or awaited."""

        self._frames = 0
        """Frames of the outbox that have to leave before the peer is heard again."""

        self._waiter: asyncio.Future[None] | None = None

    def add(self, size: int) -> None:
        """Count an answer of so many bytes that had to wait."""
        self._bytes += size + OVERHEAD

    @property
    def is_too_much(self) -> bool:
        """Whether the peer has to read before it asks for more."""
        return self._bytes > BOUND

    async def read(self, frames: int) -> None:
        """Return once so many frames, all that wait now, have left or are given up."""
        self._bytes = 0
        self._frames = frames
        if frames:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def has_left(self, frames: int) -> None:
        """So many frames of the outbox have left, whatever they were."""
        self._frames -= frames
        if self._waiter is not None and self._frames <= 0:
            wake(self._waiter)
            self._waiter = None
