"""Connections to one Redis or Valkey server that never wait longer than a publish may.

A sync client for the process, used from any thread; an async client for each loop, since
their connections belong to one. Knows nothing of what is said to the server.
"""

from __future__ import annotations

import asyncio
import weakref
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from broadcasting.backplanes.background import background
from broadcasting.conf import get_settings

UNREACHABLE = (RedisError, OSError)
"""What a server that is away, or does not answer in time, makes its clients raise."""


class RedisClients:
    """The clients of one server, each made on first use; it connects when it is used."""

    def __init__(self, url: str) -> None:
        self.url = url
        timeout = get_settings().publish_timeout
        # Whatever fails is told at once; a second try would take a second timeout.
        self.client = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        """For sync code: its pool is safe across threads and forks."""

        self._of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRedis]
        self._of_loops = weakref.WeakKeyDictionary()

    @property
    def place(self) -> str:
        """Where the server is, for error messages: without user and password."""
        parts = urlsplit(self.url)
        return f"Redis at {parts.netloc.rpartition('@')[2]}{parts.path}"

    def of_loop(self) -> AsyncRedis:
        """Return the client of the running loop; whose loop it is closes it with aclose()."""
        loop = asyncio.get_running_loop()
        client = self._of_loops.get(loop)
        if client is None:
            timeout = get_settings().publish_timeout
            client = self._of_loops[loop] = AsyncRedis.from_url(
                self.url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=AsyncRetry(NoBackoff(), 0),
            )
            if background.owns(loop):
                # It lives on when the settings, and with them these clients, are gone.
                weakref.finalize(self, _close_in_background, client).atexit = False
        return client

    def close(self) -> None:
        """Let the sync connections go; the next use opens new ones."""
        self.client.close()

    async def aclose(self) -> None:
        """Let the connections of the running loop go; the next use opens new ones."""
        client = self._of_loops.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def aclose_in_background(self) -> None:
        """Let those of the background loop go, from any other loop."""
        if any(background.owns(loop) for loop in tuple(self._of_loops)):
            await asyncio.wrap_future(background.submit(self.aclose()))


def checked_url(url: object, where: str) -> str:
    """Return the URL of a server. Raises ImproperlyConfigured, which tells ``where`` it stands."""
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        # Not shown: it may hold a password.
        raise ImproperlyConfigured(
            f"BROADCASTING{where}['OPTIONS']['url'] must be the URL of a Redis or Valkey"
            " server, as 'redis://localhost:6379/0'"
        )
    return url


def _close_in_background(client: AsyncRedis) -> None:
    background.submit(client.aclose())
