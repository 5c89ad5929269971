"""The ASGI application: sockets and the HTTP API in front of Django.

::

    application = broadcasting.asgi.get_application(get_asgi_application())

What is not ours goes on to the application behind. ``broadcasting.asgi:application``
serves sockets and API alone, for a socket server beside a WSGI site.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from channels.routing import URLRouter
from django.core.handlers.asgi import ASGIHandler

from broadcasting import client_events, occurrences, signals
from broadcasting.api import Api
from broadcasting.api.responses import respond
from broadcasting.conf import get_settings
from broadcasting.server.node import get_node, start_node
from broadcasting.typing import AsgiApplication, Receive, Scope, Send
from broadcasting.webhooks.office import office

logger = logging.getLogger("broadcasting.server")


class BroadcastingApplication:
    """Routes by path and starts the node: with ASGI lifespan, or lazily without it."""

    def __init__(self, inner: AsgiApplication | None = None) -> None:
        from broadcasting.routing import socket_urlpatterns

        for observer in (signals.observer, client_events.observer, office):
            occurrences.observe(observer)
        prefix = get_settings().server.path
        self.inner = inner
        self._sockets: AsgiApplication = URLRouter(socket_urlpatterns())
        self._socket_prefix = f"{prefix}/app/"
        self._api = Api(prefix)
        # Django's own handler raises for websockets; another router may have its own.
        self._inner_takes_sockets = inner is not None and not isinstance(inner, ASGIHandler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of any type."""
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                get_node()
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
        if (target := self._api.find(scope)) is not None:
            await self._api.answer(target, scope, receive, send)
        elif self.inner is not None:
            await self.inner(scope, receive, send)
        else:
            await respond(send, 404, {"error": "Not found", "code": 404})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_ours(scope):
            await self._sockets(scope, receive, send)
        elif self._inner_takes_sockets and self.inner is not None:
            await self.inner(scope, receive, send)
        elif (await receive())["type"] == "websocket.connect":
            logger.info("No socket lives at %.200r", scope["path"])
            await send({"type": "websocket.close"})

    def _is_ours(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        key = path.removeprefix(self._socket_prefix).removesuffix("/")
        return path.startswith(self._socket_prefix) and key != "" and "/" not in key

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                start_node().hear_all()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                node = get_node()
                await node.stop()
                node.finish()
                await _let_observers_finish()
                await send({"type": "lifespan.shutdown.complete"})
                return


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


def __getattr__(name: str) -> Any:
    # Built on first use: importing get_application must not need configured settings.
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import django

    django.setup()
    application = globals()["application"] = get_application()
    return application
