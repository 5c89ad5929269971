"""uvicorn, set up to hold many sockets in one process and to stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from broadcasting.server.node import get_node

MAX_FRAME = 1_048_576
"""Bytes of one frame before the server itself ends the socket with 1009, as Daphne's default;
each application's own, smaller limit is checked by the protocol."""


class SocketServer(uvicorn.Server):
    """A server whose sockets learn of its end from us, with a code to return at once."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], object]) -> None:
        """``announce`` is called once the server takes connections."""
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        self._announce()
        # With Python's defaults, full collections over every connection dominate.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await get_node().stop()
        await self._farewell()
        await super().shutdown(sockets)

    async def _farewell(self) -> None:
        """Let the peers answer our close; hang up on those that have not by the deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self._closing():
                    await asyncio.sleep(0.02)  # uvicorn tells nobody when a socket is gone
        for connection in self._closing():
            connection.transport.abort()
        # Before 0.53 uvicorn fails on a socket that was closed and is still there.
        await asyncio.sleep(0)

    def _closing(self) -> list[Any]:
        return [c for c in self.server_state.connections if getattr(c, "close_sent", False)]


def configuration(
    application: Any, *, host: str, port: int, drain_seconds: float, log_level: str
) -> uvicorn.Config:
    """Return uvicorn's settings; ``drain_seconds`` bounds the wait for sockets at the end."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        # Sans-I/O is the fastest of uvicorn's own; compression costs every frame of a
        # fan-out again, and control pings a timer each: the node's one sweep asks instead.
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        backlog=4_096,
        lifespan="on",
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


def run(config: uvicorn.Config, announce: Callable[[], object]) -> None:
    """Serve until SIGTERM or SIGINT; return normally after a clean stop."""
    # uvicorn raises the signal again once it has stopped; a clean stop exits 0.
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        SocketServer(config, announce).run()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
