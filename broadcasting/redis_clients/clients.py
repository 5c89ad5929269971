"""Connections to Redis or Valkey that never wait longer than a publish may.

A sync client for the process, used from any thread; an async client for each loop, since
their connections belong to one. Knows nothing of what is said to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from broadcasting.backplanes.background import background
from broadcasting.conf import get_settings
from broadcasting.forking import ForkSafeLock
from broadcasting.redis_clients.pipelines import Pipelines, Word, Words, pipelined
from broadcasting.redis_clients.server import RedisServer, server_of

UNREACHABLE = (RedisError, OSError)
"""What a server that is away, or does not answer in time, makes its clients raise."""


CONNECTIONS = 8
"""To one server from one loop, in use at a time. Whoever comes then waits: redis-py would raise
an error, from the hundredth on, or from where ``max_connections`` says."""

COMMANDS_AT_ONCE = 100
"""In one pipeline: who is in doubt about an answer that did not come shall be few."""


class _Lent:
    """A loop's client, and those who use it."""

    def __init__(self, client: AsyncRedis, timeout: float) -> None:
        self.finalizer: Any = None
        """What closes it when nobody else does."""

        self.client = client
        self._timeout = timeout
        self._pipelines = Pipelines(self._send, at_once=COMMANDS_AT_ONCE, each_by_itself=True)
        self._turns = turns(client.connection_pool) if _has_pool(client) else None
        self._users = 0
        self._is_closing = False

    async def run(self, *words: Word) -> Any:
        self._users += 1
        try:
            return await self._pipelines.command(*words)
        finally:
            await self._let_go()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[AsyncRedis]:
        """The client, which is not closed meanwhile."""
        self._users += 1
        try:
            yield self.client
        finally:
            await self._let_go()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncRedis]:
        """The client, for one of those that may have it at a time."""
        async with self.hold() as client, self._turn():
            yield client

    async def close(self) -> None:
        """Let its connections go, or have the last of its users do it."""
        self._is_closing = True
        if self.finalizer is not None:
            self.finalizer.detach()
        await self._close_if_unused()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._turns is None:  # each server of a Cluster has its own
            yield
            return
        async with self._turns:
            _drop_lost(self.client.connection_pool)
            yield

    async def _let_go(self) -> None:
        self._users -= 1
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if self._is_closing and not self._users:
            await close_client(self.client)

    async def _send(self, every: list[Words]) -> list[Any]:
        self._users += 1  # those who wait for the answers may give up
        try:
            async with asyncio.timeout(self._timeout), self._turn():
                if len(every) > 1:
                    return await pipelined(self.client, every)
                say: Any = self.client.execute_command
                return [await say(*every[0])]
        finally:
            await self._let_go()


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

    async def run(self, *words: Word) -> Any:
        """Send a command from the running loop, behind those given before; return its answer.

        Whatever is given at once shares a connection. Raises one of UNREACHABLE. Not for a
        Cluster, where each has a server of its own.
        """
        return await self._lent().run(*words)

    def lend(self) -> contextlib.AbstractAsyncContextManager[AsyncRedis]:
        """The running loop's client, for one thing at a time that is asked of it.

        No more than CONNECTIONS have it at once, unless it is a Cluster's: see turns(). aclose()
        waits for nobody, and cuts nobody off.
        """
        return self._lent().turn()

    def lends(self, client: Any) -> bool:
        """Whether ``client`` is what the running loop is lent now."""
        lent = self._of_loops.get(asyncio.get_running_loop())
        return lent is not None and lent.client is client

    def hold(self) -> contextlib.AbstractAsyncContextManager[AsyncRedis]:
        """See lend(), for what asks nothing of the server itself, and so waits for no turn."""
        return self._lent().hold()

    def close(self) -> None:
        """Let the sync connections go; the next use opens new ones."""
        if self._client is not None:
            self._client.close()

    async def aclose(self) -> None:
        """Let the connections of the running loop go; the next use opens new ones."""
        lent = self._of_loops.pop(asyncio.get_running_loop(), None)
        if lent is not None:
            await lent.close()

    async def aclose_in_background(self) -> None:
        """Let those of the background loop go, from any other loop."""
        if any(background.owns(loop) for loop in tuple(self._of_loops)):
            await asyncio.wrap_future(background.submit(self.aclose()))

    def _lent(self) -> _Lent:
        loop = asyncio.get_running_loop()
        lent = self._of_loops.get(loop)
        if lent is None:
            client = self.server.async_client(self._timeout)
            lent = self._of_loops[loop] = _Lent(client, self._timeout)
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


def _has_pool(client: Any) -> bool:
    """Whether all of its connections lead to one server: those of a Cluster's client do not."""
    return hasattr(client, "connection_pool")


def turns(holder: Any) -> asyncio.Semaphore:
    """Return what those wait for who want a connection: of a pool, or of a node of a Cluster."""
    return asyncio.Semaphore(min(CONNECTIONS, holder.max_connections))


def _drop_lost(pool: Any) -> None:
    """Let idle connections that were cut connect again, and those to a master that was replaced.

    redis-py looks whether the server has closed one, and not whether it was reset: what is said
    next would be lost. Those that are in use when it learns of another master it keeps, and one
    that always is in use would stay with the former one for good.
    """
    master = getattr(pool, "master_address", None)
    for connection in getattr(pool, "_available_connections", ()):
        writer: asyncio.StreamWriter | None = connection._writer
        if writer is None:
            continue
        is_elsewhere = master is not None and (connection.host, connection.port) != master
        if is_elsewhere or writer.is_closing():
            connection._close()


def _close_in_background(client: AsyncRedis) -> None:
    background.submit(close_client(client))
