"""Connections to one Redis or Valkey server that never wait longer than a publish may.

A sync client for the process, used from any thread; an async client for each loop, since
their connections belong to one. Knows nothing of what is said to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry

from broadcasting.backplanes.background import background
from broadcasting.conf import get_settings

UNREACHABLE = (RedisError, OSError)
"""What a server that is away, or does not answer in time, makes its clients raise."""


URL_WANTED = (
    "must be the URL of a Redis or Valkey server, as 'redis://localhost:6379/0'; a password's own"
    " '/', '#', '?' and '@' are written as '%2F', '%23', '%3F' and '%40', and"
    " behind a '?' stands what redis-py knows"
)


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

    def __init__(self, url: str, timeout: float | None = None) -> None:
        """``timeout``: seconds for each step; None: what a publish may take."""
        self.url = url
        self._timeout = timeout
        timeout = timeout or get_settings().publish_timeout
        # Whatever fails is told at once; a second try would take a second timeout.
        self.client = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        """For sync code: its pool is safe across threads and forks."""

        self._of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lent]
        self._of_loops = weakref.WeakKeyDictionary()

    @property
    def place(self) -> str:
        """Where the server is, for error messages: without user and password."""
        parts = urlsplit(self.url)
        return f"Redis at {parts.netloc.rpartition('@')[2]}{parts.path}"

    def of_loop(self) -> AsyncRedis:
        """Return the client of the running loop; whose loop it is closes it with aclose()."""
        return self._lent().client

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[AsyncRedis]:
        """The client of a loop that many share: aclose() waits for nobody, and cuts nobody off."""
        lent = self._lent()
        lent.users += 1
        try:
            yield lent.client
        finally:
            lent.users -= 1
            if lent.closing and not lent.users:
                await lent.client.aclose()

    def close(self) -> None:
        """Let the sync connections go; the next use opens new ones."""
        self.client.close()

    async def aclose(self) -> None:
        """Let the connections of the running loop go; the next use opens new ones."""
        lent = self._of_loops.pop(asyncio.get_running_loop(), None)
        if lent is None:
            return
        lent.closing = True
        if lent.finalizer is not None:
            lent.finalizer.detach()
        if not lent.users:
            await lent.client.aclose()

    async def aclose_in_background(self) -> None:
        """Let those of the background loop go, from any other loop."""
        if any(background.owns(loop) for loop in tuple(self._of_loops)):
            await asyncio.wrap_future(background.submit(self.aclose()))

    def _lent(self) -> _Lent:
        loop = asyncio.get_running_loop()
        lent = self._of_loops.get(loop)
        if lent is None:
            timeout = self._timeout or get_settings().publish_timeout
            client = AsyncRedis.from_url(
                self.url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=AsyncRetry(NoBackoff(), 0),
            )
            lent = self._of_loops[loop] = _Lent(client)
            if background.owns(loop):
                # It lives on when the settings, and with them these clients, are gone.
                lent.finalizer = weakref.finalize(self, _close_in_background, client)
                lent.finalizer.atexit = False
        return lent


def is_url(url: object) -> TypeGuard[str]:
    """Whether ``url`` may be the URL of a server; if not, it may still hold a password."""
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        return False
    try:
        parts = urlsplit(url)
        # Makes a connection and opens none: what stands behind a "?" is read here only.
        ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):  # not handed on: they quote what is wrong
        return False
    # Else what is taken for the path of a number that is no port is shown.
    return parts.scheme == "unix" or "@" not in parts.path + parts.fragment


def _close_in_background(client: AsyncRedis) -> None:
    background.submit(client.aclose())
