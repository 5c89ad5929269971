"""Somebody's HTTP API over connections that stay open: a client per process, one per loop.

The only module of the drivers that knows the HTTP library, which is an extra. Errors name the
host and what was answered, never what was signed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import weakref
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

from broadcasting.exceptions import BroadcasterUnavailable, BroadcastRefused
from broadcasting.outage import Outage

try:
    import httpx2
except ImportError as error:
    raise ImproperlyConfigured(
        "Broadcasters that send over HTTP need the 'http' extra:"
        " pip install 'django-broadcasting[http]'"
    ) from error

CONNECT_SECONDS = 2.0
MAX_BODY = 1000
"""Characters of an error's answer that are kept."""

TOO_MANY_REQUESTS = 429


SIGNED = b"auth_signature="
SIGNATURE = re.compile(r"(auth_signature=)\w+")


class _Discreet(logging.Filter):
    """Takes the query off what the HTTP library logs of a signed request, at level INFO.

    Whoever reads the log could send the request again for some minutes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_without_signature, record.args))
        return True


def _without_signature(value: object) -> object:
    if isinstance(value, httpx2.URL) and SIGNED in value.query:
        return value.copy_with(query=None)
    return value


logging.getLogger("httpx2").addFilter(_Discreet())

Asked = TypeVar("Asked")


class HttpClient(ABC, Generic[Asked]):
    """Sends requests to one server, from any thread and any loop."""

    def __init__(self, base_url: str, timeout: float) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.outage = Outage(f"broadcaster at {base_url}")
        # By process: a child of a fork must not talk on its parent's connections.
        self._clients: dict[int, httpx2.Client] = {}
        self._async_clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient] = {}
        # When the settings change it is forgotten, in whatever thread that happens.
        end = weakref.finalize(self, _let_go, os.getpid(), self._clients, self._async_clients)
        end.atexit = False

    @abstractmethod
    def build(self, client: httpx2.Client | httpx2.AsyncClient, request: Asked) -> httpx2.Request:
        """Return ``request`` as the HTTP library sends it, made by ``client``."""

    def send(self, request: Asked) -> Any:
        """Return what the JSON of the answer says.

        Raises BroadcasterUnavailable, or BroadcastRefused where asking again is no use.
        """
        self._ask_outage()
        try:
            response = self._client().send(self.build(self._client(), request))
        except (httpx2.RequestError, OSError) as error:
            raise self._failed(error) from error
        return self._read(response)

    async def asend(self, request: Asked) -> Any:
        """See send(); here the timeout is for all of it together."""
        self._ask_outage()
        client = self._async_client()
        try:
            async with asyncio.timeout(self.timeout):
                response = await client.send(self.build(client, request))
        except (httpx2.RequestError, OSError) as error:  # TimeoutError is an OSError
            raise self._failed(error) from error
        return self._read(response)

    def close(self) -> None:
        """Let this process's sync connections go; later requests open new ones."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Let the connections of the running loop go."""
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx2.Client:
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            client = self._clients.setdefault(process, httpx2.Client(timeout=self._timeouts()))
        return client

    def _async_client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._async_clients.get(loop)
        if client is None:
            for other in tuple(self._async_clients):
                if other.is_closed():
                    self._async_clients.pop(other, None)
            client = httpx2.AsyncClient(timeout=self._timeouts())
            self._async_clients[loop] = client
        return client

    def _timeouts(self) -> httpx2.Timeout:
        return httpx2.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout))

    def _ask_outage(self) -> None:
        if not self.outage.allows():
            raise BroadcasterUnavailable(f"{self.base_url} did not answer a moment ago")

    def _failed(self, error: Exception) -> BroadcasterUnavailable:
        self.outage.failed(error)
        return BroadcasterUnavailable(f"{self.base_url}: {type(error).__name__}: {error}")

    def said_status(self, content: Any) -> int | None:
        """Return the status that a server put into its answer alone; None if there is none."""
        return None

    def _read(self, response: httpx2.Response) -> Any:
        self.outage.succeeded()
        try:
            content = response.json()
        except (ValueError, RecursionError):
            content = {}  # some answer "ok", some nothing
        status = response.status_code
        if 200 <= status < 300:
            status = self.said_status(content) or status
        if 200 <= status < 300:
            return content
        # Not in the charset that it names, which Python may have no text in.
        text = response.content.decode("utf-8", "replace")
        # Pages about errors like to say what was asked.
        body = SIGNATURE.sub(r"\1...", text)[:MAX_BODY]
        problem = f"{self.base_url} answered with {status}: {body}"
        if status >= 500 or status == TOO_MANY_REQUESTS:
            raise BroadcasterUnavailable(problem, status, body)
        raise BroadcastRefused(problem, status, body)


def _let_go(
    process: int,
    clients: dict[int, httpx2.Client],
    async_clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient],
) -> None:
    """Close what is still open, each on the loop that it belongs to."""
    client = clients.pop(os.getpid(), None)
    if client is not None:
        client.close()
    if os.getpid() != process:
        return  # the loops are those of the parent
    for loop, async_client in async_clients.items():
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(async_client.aclose(), loop)
