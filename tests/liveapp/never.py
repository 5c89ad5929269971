"""A site whose start has no end, as where something that it needs does not answer."""

from __future__ import annotations

import asyncio

from broadcasting import asgi
from broadcasting.typing import Receive, Send
from tests.liveapp.asgi import application

__all__ = ["application"]


async def _start(receive: Receive, send: Send) -> None:
    await receive()
    print("Starting without end", flush=True)
    await asyncio.Event().wait()


asgi._lifespan = _start
