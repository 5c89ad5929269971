"""The ASGI application: sockets and the HTTP API in front of Django.

::

    application = broadcasting.asgi.get_application(get_asgi_application())

What is not ours goes on to the application behind. ``broadcasting.asgi:application``
serves sockets and API alone, for a socket server beside a WSGI site.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from django.core.handlers.asgi import ASGIHandler

from broadcasting import client_events, occurrences, signals
from broadcasting.api import Api
from broadcasting.api.responses import respond
from broadcasting.conf import get_settings
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue, beside
from broadcasting.server.node import get_node, start_node
from broadcasting.server.readiness import readiness
from broadcasting.typing import AsgiApplication, Receive, Scope, Send
from broadcasting.webhooks.office import office

logger = logging.getLogger("broadcasting.server")


class BroadcastingApplication:
    """Routes by path and starts the node: with ASGI lifespan, or lazily without it."""

    def __init__(self, inner: AsgiApplication | None = None) -> None:
        # Late: importing get_application must not need configured settings.
        from broadcasting.consumers import PusherConsumer

        for observer in (signals.observer, client_events.observer, office):
            occurrences.observe(observer)
        _built.add(self)
        prefix = get_settings().server.path
        self.inner = inner
        self._sockets: AsgiApplication = PusherConsumer.as_asgi()
        self._socket_prefix = f"{prefix}/app/"
        self._api = Api(prefix)
        self._probes = {f"{prefix}/up": _up, f"{prefix}/ready": _ready}
        # Django's own handler raises for websockets; another router may have its own.
        self._inner_takes_sockets = inner is not None and not isinstance(inner, ASGIHandler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of any type."""
        match scope["type"]:
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                if (key := self._key(scope)) is not None:
                    # As Channels' router would, but each coroutine in between stays with a socket.
                    scope["url_route"] = {"kwargs": {"key": key}}
                    await self._sockets(scope, receive, send)
                else:
                    await self._websocket(scope, receive, send)
            case "http":
                get_node()
                await self._http(scope, receive, send)
            case _ if self.inner is not None:
                await self.inner(scope, receive, send)

    def quick(self, scope: Scope) -> AsgiApplication | None:
        """Return what answers an HTTP request without ever waiting, if it is one of those."""
        return self._api.quick(scope)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (probe := self._probes.get(_path(scope))) is not None and scope["method"] in _READING:
            await probe(send)
        elif (target := self._api.find(scope)) is not None:
            await self._api.answer(target, scope, receive, send)
        elif self.inner is not None:
            await self.inner(scope, receive, send)
        else:
            await respond(send, 404, {"error": "Not found", "code": 404})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._inner_takes_sockets and self.inner is not None:
            await self.inner(scope, receive, send)
        elif (await receive())["type"] == "websocket.connect":
            logger.info("No socket lives at %.200r", scope["path"])
            await _deny(scope, send)

    def _key(self, scope: Scope) -> str | None:
        """Return the application key at whose path a socket is wanted, if it is a path of ours."""
        path = _path(scope)
        if not path.startswith(self._socket_prefix):
            return None
        key: str = path.removeprefix(self._socket_prefix).removesuffix("/")
        return key if key and "/" not in key else None


_READING = ("GET", "HEAD")
_NOT_KEPT = (b"cache-control", b"no-store")


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _up(send: Send) -> None:
    """Say that this process lives: nothing else is asked, so that nothing else restarts it."""
    await respond(send, 200, {"up": True}, _NOT_KEPT)


async def _ready(send: Send) -> None:
    """Say whether sockets should come here."""
    found = readiness(get_node())
    await respond(send, 200 if found["ready"] else 503, found, _NOT_KEPT)


async def _deny(scope: Scope, send: Send) -> None:
    """Answer 404 where the server can be told what to answer; others say 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"No socket lives here\n"})


class Guarded:
    """What the project put around ours, asked for everything; the node starts and stops with it."""

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of any type."""
        if scope["type"] == "lifespan":
            # Not every router or middleware knows it.
            await _lifespan(receive, send)
        else:
            await self.application(scope, receive, send)


_built: WeakSet[BroadcastingApplication] = WeakSet()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        try:
            message = await receive()
        except asyncio.CancelledError:  # a server that was told to hurry says no more
            return
        if message["type"] == "lifespan.startup":
            start_node().orders.hear_all()
            _start_relay()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            node = get_node()
            await asyncio.to_thread(beside.stop, get_settings().publish_timeout)
            await node.stop()
            await node.settled(get_settings().publish_timeout)
            node.finish()
            await _let_observers_finish()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _start_relay() -> None:
    # Another queue's library need not be there: sockets alone use none.
    if get_settings().queue.options.get("relay"):
        queue = get_queue()
        if isinstance(queue, OutboxQueue) and queue.relays_here:
            beside.start(queue)


async def _let_observers_finish() -> None:
    timeout = get_settings().webhooks.timeout
    threads = (signals.serial, client_events.serial)
    await asyncio.gather(
        office.astop(timeout),
        *(asyncio.to_thread(thread.finish, timeout) for thread in threads),
    )


def get_application(inner: AsgiApplication | None = None) -> BroadcastingApplication:
    """Return ``inner`` (usually ``get_asgi_application()``) with sockets and API in front."""
    return inner if isinstance(inner, BroadcastingApplication) else BroadcastingApplication(inner)


def serve_whole(application: AsgiApplication) -> AsgiApplication:
    """Return a project's application as the only one of a process, with ours in front at need.

    Where the project has built one of ours, it has put it where it belongs: what stands around
    it, such as a list of who may come, must see everything.
    """
    if isinstance(application, BroadcastingApplication) or not _built:
        return get_application(application)
    return Guarded(application)


def quick_answers(application: object) -> Callable[[Scope], AsgiApplication | None] | None:
    """Return what answers in one step for ``application``, if nothing stands before it."""
    # A class of the project's own may do more in its __call__().
    return application.quick if type(application) is BroadcastingApplication else None


def __getattr__(name: str) -> Any:
    # Built on first use: importing get_application must not need configured settings.
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import django

    django.setup()
    application = globals()["application"] = get_application()
    return application
