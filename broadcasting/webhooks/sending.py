"""One attempt: a POST to an endpoint, on the background loop of this process.

The only place that knows the HTTP library, which is an extra. A slow endpoint costs the
others nothing: connections are not limited, lanes are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from broadcasting.conf import get_settings
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.bodies import Outcome, headers_of

try:
    import httpx2
except ImportError as error:
    raise ImproperlyConfigured(
        "Webhooks need the 'http' extra: pip install 'django-broadcasting[http]'"
    ) from error

T = TypeVar("T")

MAX_ANSWER = 65_536
"""Bytes of an answer that are read, so that its connection can be used again."""

DRAIN_SECONDS = 0.2
"""How long the rest of an answer is waited for; beyond that its connection is closed."""

LOOKUPS = 64
"""Names looked up at once. A name server that hangs holds one for as long as it likes."""

MAX_ERROR = 500

_OF_NETWORKS = (
    httpx2.NetworkError,
    httpx2.ProxyError,
    httpx2.RemoteProtocolError,
    httpx2.TimeoutException,
)

_clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient] = {}


async def post(application: Application, webhook: Webhook, delivery_id: str, body: str) -> Outcome:
    """Try once. Never raises for what the endpoint does; waits ``WEBHOOKS.TIMEOUT`` at most."""
    content = body.encode()
    headers = headers_of(application, webhook, delivery_id, content)
    timeout = get_settings().webhooks.timeout
    outcome = Outcome(error=f"No answer within {timeout:g} s")
    try:
        async with asyncio.timeout(timeout):
            request = _client().stream("POST", webhook.url, content=content, headers=headers)
            async with request as response:
                outcome = _judge(response.status_code)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_SECONDS):
                        await _drain(response)
    except TimeoutError:
        pass
    except Exception as problem:  # of the library's many kinds, and those beneath it
        # The status is the answer, whatever becomes of what follows it.
        if outcome.status is None:
            outcome = Outcome(error=_described(problem))
    return outcome


def _described(problem: Exception) -> str:
    """Return what may be kept: other errors than those of networks may quote our own headers."""
    name = type(problem).__name__
    return f"{name}: {problem}"[:MAX_ERROR] if isinstance(problem, _OF_NETWORKS) else name


def _judge(status: int) -> Outcome:
    return Outcome(status=status, error="" if 200 <= status < 300 else f"Answered with {status}")


async def close() -> None:
    """Let the connections of this loop go."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        with contextlib.suppress(Exception):  # the process ends, nobody needs them
            await client.aclose()


async def _drain(response: httpx2.Response) -> None:
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > MAX_ANSWER:
            return


class _Resolver(ThreadPoolExecutor):
    """Looks names up in threads, and by itself when the interpreter ends and makes no more."""

    def submit(self, work: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        try:
            return super().submit(work, *args, **options)
        except RuntimeError:
            future: Future[T] = Future()
            try:
                future.set_result(work(*args, **options))
            except Exception as problem:
                future.set_exception(problem)
            return future


def _client() -> httpx2.AsyncClient:
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        loop.set_default_executor(
            _Resolver(LOOKUPS, thread_name_prefix="broadcasting-webhooks-names")
        )
        client = _clients[loop] = httpx2.AsyncClient(
            # Pusher does not follow them either: the signed bytes are for one address.
            follow_redirects=False,
            timeout=None,
            # One client is for all: what one endpoint sets is not told to others.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
    return client
