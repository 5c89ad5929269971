"""uvicorn's WebSocket, and what it hears below the messages.

A native client may answer nothing but WebSocket pings. ASGI does not speak of them, so this
protocol lends itself to the node through an extension of the scope.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from broadcasting.server.lane import LANE, Watcher


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One socket under ``websockets_serve``. See ControlFrames for what it adds."""

    heard_at: float | None = None
    paused = False
    watcher: Watcher | None = None

    @property
    def write(self) -> Any:
        return self.transport.write

    def waiting(self) -> int:
        return self.transport.get_write_buffer_size()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.paused = True
        if self.watcher:
            self.watcher.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.paused = False
        if self.watcher:
            self.watcher.resume()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            # The application does not run before the next turn of the loop.
            extensions: Any = self.scope["extensions"]
            extensions[LANE] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.watcher:
            self.watcher.lose()
        if self.handshake_initiated and self.response.status_code == 101:
            # Two that hold each other would wait for the garbage collector, which comes rarely.
            extensions: Any = self.scope["extensions"]
            extensions.pop(LANE, None)

    def handle_ping(self) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        super().handle_pong(event)

    def ask(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_ping(b"")
            self.transport.write(b"".join(self.conn.data_to_send()))
