"""Three ways to put something of one's own around sockets and API."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

from broadcasting.asgi import BroadcastingApplication, get_application
from broadcasting.typing import AsgiApplication, Receive, Scope, Send


class Guard:
    """Middleware that knows requests and sockets alone, as a Channels router does."""

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": b"guard"})


class Proxy(Guard):
    """As agents have them: what it does not know it asks of what it stands for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.application, name)


class Own(BroadcastingApplication):
    """A class of the project's own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await Guard(self)(scope, receive, send)


def build(kind: str) -> AsgiApplication:
    """Return the Django site behind the given guard."""
    django = get_asgi_application()
    if kind == "own":
        return Own(django)
    return {"guard": Guard, "proxy": Proxy}[kind](get_application(django))


application = build(os.environ["GUARD"])
