"""Publishing to the master that the Sentinels name, which may have been replaced unnoticed.

A former master may go on answering for seconds: it takes what is published, and nobody hears it.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import Any

from broadcasting.backplanes.redis_commands import LOOK_SECONDS
from broadcasting.conf import get_settings
from broadcasting.redis_clients import UNREACHABLE, RedisClients


class MasterPublisher:
    """Publishes from any loop, each of which finds out by itself. See SentinelCommands."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._masters: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Master]
        self._masters = weakref.WeakKeyDictionary()

    async def publish(self, topic: str, text: str) -> None:
        """Raises RedisError or OSError."""
        loop = asyncio.get_running_loop()
        master = self._masters.get(loop)
        if master is None:
            master = self._masters[loop] = _Master()
        # Half of the time that there is: it was taken, and may have to be said again.
        before, until = master.moves, loop.time() + get_settings().publish_timeout / 2
        heard = await self._clients.run("PUBLISH", topic, text)
        if heard == 0 and await master.has_moved_since(before, until, self._clients):
            await self._clients.run("PUBLISH", topic, text)


class _Master:
    """What one loop knows of its master."""

    def __init__(self) -> None:
        self.moves = 0
        """How often another one had taken its place."""

        self._known_at = -LOOK_SECONDS
        """When the Sentinels were asked the last time, whether they answered or not."""

        self._asking: asyncio.Task[None] | None = None
        self._patience = 0.0
        """Until when anybody waits for what is asked."""

    async def has_moved_since(self, moves: int, until: float, clients: RedisClients) -> bool:
        """Whether there were more than ``moves``; the Sentinels are asked now and then.

        Those who wait for one answer share it, and so do those who were on their way to the
        former one when it came. Nobody waits longer than ``until``, by the clock of the loop, and
        nobody for Sentinels that have said nothing for a while.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.moves == moves and self._asking is None and now - self._known_at >= LOOK_SECONDS:
            self._patience = until
            self._asking = loop.create_task(self._ask(clients))
            self._asking.add_done_callback(self._answered)
        patience = min(until, self._patience) - now
        if self.moves == moves and self._asking is not None and patience > 0:
            await asyncio.wait({self._asking}, timeout=patience)
        return self.moves != moves

    def _answered(self, asking: asyncio.Task[None]) -> None:
        self._known_at = asking.get_loop().time()
        # A task holds its loop, which may be of one publish only.
        self._asking = None

    async def _ask(self, clients: RedisClients) -> None:
        async with clients.hold() as client:
            pool: Any = client.connection_pool
            before = pool.master_address
            with contextlib.suppress(*UNREACHABLE):  # they may be away while the server is well
                present = await pool.get_master_address()
                self.moves += before is not None and present != before
