"""Connections to Redis or Valkey that never wait longer than a publish may.

A sync client for the process, used from any thread; an async client for each loop, since
their connections belong to one. Knows nothing of what is said to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from broadcasting.backplanes.background import background
from broadcasting.conf import get_settings
from broadcasting.forking import ForkSafeLock
from broadcasting.redis_clients.server import RedisServer, server_of

UNREACHABLE = (RedisError, OSError)
"""What a server that is away, or does not answer in time, makes its clients raise."""


@dataclass(slots=True)
class _Lent:
    """A loop's client, how many are using it, and whether the last of them closes it."""

    client: AsyncRedis
    users: int = 0
    closing: bool = False
    finalizer: Any = None
    """What closes it when nobody else does."""


class RedisClients:
    """The clients of one server, each made on first use; it connects when it is used."""

    def __init__(self, server: RedisServer | str, timeout: float | None = None) -> None:
        """``server``: what the options mean, or a URL.

        ``timeout``: seconds for each step; None: what a publish may take.
        """
        self.server = server_of({"url": server}, "") if isinstance(server, str) else server
        self._timeout = timeout or get_settings().publish_timeout
        self._making = ForkSafeLock()
        self._client: Redis | None = None
        self._of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lent]
        self._of_loops = weakref.WeakKeyDictionary()

    @property
    def place(self) -> str:
        """Where the server is, for error messages: without user and password."""
        return self.server.place

    @property
    def client(self) -> Redis:
        """For sync code: its pool is safe across threads and forks.

        Made on first use, which for a Cluster connects and raises one of UNREACHABLE if no node
        answers.
        """
        if self._client is None:
            with self._making:
                if self._client is None:
                    self._client = self.server.client(self._timeout)
        return self._client

    def of_loop(self) -> AsyncRedis:
        """Return the client of the running loop; whose loop it is closes it with aclose()."""
        client = self._lent().client
        _drop_cut(client)
        return client

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[AsyncRedis]:
        """The client of a loop that many share: aclose() waits for nobody, and cuts nobody off."""
        lent = self._lent()
        _drop_cut(lent.client)
        lent.users += 1
        try:
            yield lent.client
        finally:
            lent.users -= 1
            if lent.closing and not lent.users:
                await close_client(lent.client)

    def close(self) -> None:
        """Let the sync connections go; the next use opens new ones."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Let the connections of the running loop go; the next use opens new ones."""
        lent = self._of_loops.pop(asyncio.get_running_loop(), None)
        if lent is None:
            return
        lent.closing = True
        if lent.finalizer is not None:
            lent.finalizer.detach()
        if not lent.users:
            await close_client(lent.client)

    async def aclose_in_background(self) -> None:
        """Let those of the background loop go, from any other loop."""
        if any(background.owns(loop) for loop in tuple(self._of_loops)):
            await asyncio.wrap_future(background.submit(self.aclose()))

    def _lent(self) -> _Lent:
        loop = asyncio.get_running_loop()
        lent = self._of_loops.get(loop)
        if lent is None:
            client = self.server.async_client(self._timeout)
            lent = self._of_loops[loop] = _Lent(client)
            if background.owns(loop):
                # It lives on when the settings, and with them these clients, are gone.
                lent.finalizer = weakref.finalize(self, _close_in_background, client)
                lent.finalizer.atexit = False
        return lent


async def close_client(client: Any) -> None:
    """Let the connections of an async client go, and those to its Sentinels."""
    await client.aclose()
    # A Cluster's client closes nothing if it did not look for the nodes itself.
    if (nodes := getattr(client, "nodes_manager", None)) is not None:
        await nodes.aclose()
        await nodes.aclose("startup_nodes")
    # Those that the Sentinels are asked over are not the client's.
    asked = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in getattr(asked, "sentinels", ()):
        await sentinel.aclose()


def _drop_cut(client: Any) -> None:
    """Let idle connections that were cut connect again.

    redis-py looks whether the server has closed one, and not whether it was reset: what is said
    next would be lost.
    """
    # A Cluster's client keeps them elsewhere, and looks for the nodes again.
    pool = getattr(client, "connection_pool", None)
    for connection in getattr(pool, "_available_connections", ()):
        writer: asyncio.StreamWriter | None = connection._writer
        if writer is not None and writer.is_closing():
            connection._close()


def _close_in_background(client: AsyncRedis) -> None:
    background.submit(close_client(client))
