"""The class under a real uvicorn, in a thread with a loop of either kind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from broadcasting.server.websocket import WebSocketProtocol
from broadcasting.typing import AsgiApplication, Receive, Scope, Send
from tests.live import PATIENCE

MAX_SIZE = 16_777_216


class Site:
    """A running server; ``application`` may be exchanged at any time."""

    def __init__(self, kind: str, **options: Any) -> None:
        """``kind``: uvloop or asyncio; ``options`` are uvicorn's."""
        self.application: AsgiApplication = echo
        usual: dict[str, Any] = {
            "loop": kind,
            "interface": "asgi3",
            "ws": WebSocketProtocol,
            "ws_ping_interval": None,
            "ws_max_size": MAX_SIZE,
            "lifespan": "off",
            "log_level": "critical",
            "port": 0,
        }
        self.config = uvicorn.Config(self._serve, **usual | options)
        self.server = uvicorn.Server(self.config)
        self.thread = threading.Thread(target=self.server.run)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return await self.application(scope, receive, send)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    @contextlib.contextmanager
    def running(self) -> Iterator[Site]:
        """Run until the block ends."""
        started = threading.Event()
        startup = self.server.startup

        async def announced(sockets: Any = None) -> None:
            await startup(sockets)
            started.set()

        self.server.startup = announced  # type: ignore[method-assign]
        self.thread.start()
        try:
            assert started.wait(PATIENCE)
            yield self
        finally:
            self.server.should_exit = True
            self.thread.join(PATIENCE)
            assert not self.thread.is_alive()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every message back."""
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
