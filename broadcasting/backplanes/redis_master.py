"""Publishing to the master that the Sentinels name, which may have been replaced unnoticed.

A former master may go on answering for seconds: it takes what is published, and nobody hears it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
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
        before = master.moves
        heard = await self._clients.run("PUBLISH", topic, text)
        if heard == 0 and await master.has_moved_since(before, self._clients):
            await self._clients.run("PUBLISH", topic, text)


class _Master:
    """What one loop knows of its master."""

    def __init__(self) -> None:
        self.moves = 0
        """How often another one had taken its place."""

        self._asked = -LOOK_SECONDS
        self._asking: asyncio.Task[None] | None = None

    async def has_moved_since(self, moves: int, clients: RedisClients) -> bool:
        """Whether there were more than ``moves``; the Sentinels are asked now and then.

        Those who wait for one answer share it, and so do those who were on their way to the
        former one when it came. Sentinels that say nothing cost nobody the publish.
        """
        if self.moves == moves and self._asking is None:
            now = time.monotonic()
            if now - self._asked < LOOK_SECONDS:
                return False
            self._asked = now
            self._asking = asyncio.create_task(self._ask(clients))
            self._asking.add_done_callback(self._answered)
        if self.moves == moves and self._asking is not None:
            # Half of the time that there is: it was taken, and may have to be said again.
            await asyncio.wait({self._asking}, timeout=get_settings().publish_timeout / 2)
        return self.moves != moves

    def _answered(self, asking: asyncio.Task[None]) -> None:
        # A task holds its loop, which may be of one publish only.
        self._asking = None

    async def _ask(self, clients: RedisClients) -> None:
        async with clients.lend() as client:
            pool: Any = client.connection_pool
            before = pool.master_address
            with contextlib.suppress(*UNREACHABLE):  # they may be away while the server is well
                self.moves += await pool.get_master_address() != before
