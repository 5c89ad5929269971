"""How a node sends its sockets away: spread over a while, so that they do not return as a herd.

pusher-js returns at once from 4200, with no jitter of its own. So the sender makes it: sockets
go in random order, so many a second, and whoever is still here hears everything meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

from broadcasting.protocol.errors import Reconnect
from broadcasting.server.node import Node

TICKS = 50
"""Times a second that some are sent away."""


class Drain:
    """The end of one node, in steps. Each can be cut short by ``hurry()``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Spread nothing any more: whoever stops us has no time."""
        self._hurried.set()

    @property
    def is_hurried(self) -> bool:
        """Whether nobody should be waited for."""
        return self._hurried.is_set()

    async def announce(self) -> None:
        """Be not ready, for as long as it takes to be noticed, with everything as before."""
        self._node.leaving = True
        await self._pause(self._node.settings.drain_delay)

    async def send_away(self) -> None:
        """Take nobody in any more, and close every socket with 4200, one after the other.

        As many newcomers as there are sockets are told 4200, too, and further ones 4100: where
        this is the only server they would return without a pause until it is gone.
        """
        node = self._node
        node.leaving = node.draining = True
        leaving = list(node.connections.values())
        node.redirects = max(node.redirects, len(leaving))
        random.shuffle(leaving)
        rate = _rate(len(leaving), node.settings.drain_rate, node.settings.drain_seconds)
        loop = asyncio.get_running_loop()
        began, gone = loop.time(), 0
        while gone < len(leaving) and not self.is_hurried:
            # By the clock: a loop that is busy must not make it longer.
            due = min(len(leaving), 1 + int((loop.time() - began) * rate))
            # What is under way to somebody comes before the goodbye.
            node.hub.flush()
            for connection in leaving[gone:due]:
                connection.refuse(Reconnect())
            gone = due
            if gone < len(leaving):
                await self._pause(max(1 / TICKS, 1 / rate))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()


def _rate(sockets: int, wanted: float, deadline: float) -> float:
    """Return how many go in one second, so that they are gone in half of the time."""
    return max(wanted, 2 * sockets / max(deadline, 0.001))
