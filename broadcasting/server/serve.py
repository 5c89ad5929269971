"""uvicorn, set up to hold many sockets in one process and to stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import random
import signal
import socket
import ssl
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from broadcasting.conf import get_settings
from broadcasting.server.drain import Drain
from broadcasting.server.http import HttpProtocol, Quick
from broadcasting.server.kernel import reset
from broadcasting.server.limits import Door
from broadcasting.server.listening import CannotListen, Listening
from broadcasting.server.node import get_node
from broadcasting.server.orders import Restarter
from broadcasting.server.proxies import BehindProxies, Proxies
from broadcasting.server.websocket import WebSocketProtocol

logger = logging.getLogger("broadcasting.server")

HURRIED = 0.25
"""Seconds that peers have to answer a close when nobody has time; and what is written of them."""

TICKS_A_LOOK = 20
"""uvicorn ticks ten times a second; so often do we look for sockets that do not end."""


class SocketServer(uvicorn.Server):
    """A server whose sockets learn of its end from us, with a code to return at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Listening,
        announce: Callable[[], object],
        patience: float,
        certificate: ssl.SSLContext | None = None,
        door: Door | None = None,
        restart: Restarter | None = None,
    ) -> None:
        """``announce`` is called once the server takes connections.

        ``patience``: seconds that a peer may take to read what was sent before we hung up.
        ``certificate`` encrypts every connection. ``door`` tells the log of a full house.
        ``restart`` is called when all servers are to start anew; None: this one ends.
        """
        super().__init__(config)
        self._listening = listening
        self._announce = announce
        self._patience = patience
        self._certificate = certificate
        self._door = door
        self._drain: Drain | None = None
        self._restart = restart or self._end_for_supervisor
        self.others_take_over = False
        """Whether other processes listen on the same sockets, so that nobody need be refused."""

        self._hung_up: dict[Any, float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn brings the application up; where to listen it need not know.
        await super().startup([])
        try:
            self.servers = [await self._listen(sock) for sock in self._listening.sockets]
        except OSError as problem:  # another process was faster than we between bind and listen
            await self.lifespan.shutdown()
            raise CannotListen(f"Cannot listen: {problem.strerror}.") from problem
        node = get_node()
        self._loop = asyncio.get_running_loop()
        self._drain = Drain(node)
        node.orders.restart = self._restart
        self._announce()
        # With Python's defaults, full collections over every connection dominate.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)

    async def _listen(self, sock: socket.socket) -> asyncio.base_events.Server:
        encrypted: dict[str, Any] = {}
        if self._certificate is not None:
            patience = get_node().settings.handshake_timeout
            encrypted = {"ssl": self._certificate, "ssl_handshake_timeout": patience}
        loop = asyncio.get_running_loop()
        # uvloop keeps it to itself when this fails.
        sock.listen(self.config.backlog)
        return await loop.create_server(
            self._protocol, sock=sock, backlog=self.config.backlog, **encrypted
        )

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def leave(self) -> None:
        """Begin to stop, as at the first signal; once more changes nothing."""
        self.should_exit = True

    def hurry(self) -> None:
        """Stop at once: nobody is waited for, and nothing spread."""
        self.should_exit = self.force_exit = True
        if self._drain is not None:
            self._drain.hurry()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: the first lets everybody go, the second does it at once."""
        second = bool(self._captured_signals)
        self._captured_signals.append(sig)
        self.should_exit = True
        if second and self._drain is None:
            # Still starting, and nobody is here yet.
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        elif second:
            # The loop may be asleep, and signals do not wake it.
            self._loop.call_soon_threadsafe(self.hurry)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_A_LOOK == 0:
            self._cut_off(asyncio.get_running_loop().time())
            if self._door is not None:
                self._door.look()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        drain = self.config.timeout_graceful_shutdown or 0
        goodbye = self._drain or Drain(get_node())
        if self.others_take_over:
            self._stop_listening()
        else:
            await goodbye.announce()
        ends = loop.time() + drain
        # Where nobody else listens, whoever comes meanwhile is answered that it should return.
        await goodbye.send_away()
        self._stop_listening()
        # Those that were seen to hang before; the others have as long as everybody.
        for connection in self._hung_up:
            reset(connection.transport)
        await get_node().stop()
        await self._farewell(goodbye, max(HURRIED, ends - loop.time()))
        if goodbye.is_hurried:
            ends = loop.time()
            await get_node().settled(HURRIED)
        # uvicorn waits as long again for its requests; both share one deadline.
        self.config.timeout_graceful_shutdown = max(0, ends - loop.time())  # type: ignore[assignment]
        await super().shutdown(sockets)

    def _stop_listening(self) -> None:
        self._listening.leave()
        for server in self.servers:
            server.close()

    def _end_for_supervisor(self, request: str, over: float) -> None:
        """End some time in ``over`` seconds; whoever supervises us starts us again."""
        logger.warning("Asked to restart: ending within %g seconds", over)
        self._loop.call_later(random.uniform(0, over), self.leave)  # noqa: S311 - no secret

    async def _farewell(self, goodbye: Drain, drain: float) -> None:
        """Let the peers answer our close; hang up on those that have not by the deadline."""
        node = get_node()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain) as patience:
                # Behind what waits for a slow reader, the close may not even be sent yet.
                while node.connections or self._closing():
                    if goodbye.is_hurried:
                        ends = asyncio.get_running_loop().time() + HURRIED
                        patience.reschedule(min(ends, patience.when() or ends))
                    await asyncio.sleep(0.02)  # uvicorn tells nobody when a socket is gone
        # No reset here: our close may still be under way to a peer that is only far away.
        for connection in self._closing():
            connection.transport.abort()
        # Before 0.53 uvicorn fails on a socket that was closed and is still there.
        await asyncio.sleep(0)

    def _sockets(self) -> list[Any]:
        """Return the WebSockets; answers of the site that end slowly are none of our business."""
        return [c for c in self.server_state.connections if hasattr(c, "close_sent")]

    def _closing(self) -> list[Any]:
        return [c for c in self._sockets() if c.close_sent]

    def _cut_off(self, now: float) -> None:
        """Abort what we hung up on long ago: a peer that reads nothing keeps it for ever."""
        ending = [c for c in self._sockets() if c.transport.is_closing()]
        since = {c: self._hung_up.get(c, now) for c in ending}
        self._hung_up = {c: then for c, then in since.items() if now - then < self._patience}
        for connection in since.keys() - self._hung_up.keys():
            reset(connection.transport)


def configuration(
    application: Any,
    *,
    drain_seconds: float,
    log_level: str,
    quick: Quick | None = None,
    door: Door | None = None,
) -> uvicorn.Config:
    """Return uvicorn's settings; ``drain_seconds`` bounds the wait for sockets at the end.

    ``quick`` answers what it can before the application is asked, and ``door`` says who may
    come; see HttpProtocol.
    """
    settings = get_settings().server
    return uvicorn.Config(
        BehindProxies(application, Proxies(settings.trusted_proxies)),
        interface="asgi3",
        # Ours instead: uvicorn's believes whatever comes first where it trusts a unix socket.
        proxy_headers=False,
        http=functools.partial(HttpProtocol, quick=quick, door=door),  # type: ignore[arg-type]  # makes one
        ws=WebSocketProtocol,
        ws_max_size=settings.max_frame_bytes,
        # The node's one sweep asks instead.
        ws_ping_interval=None,
        ws_ping_timeout=None,
        backlog=4_096,
        lifespan="on",
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


def run(server: SocketServer) -> None:
    """Serve until SIGTERM or SIGINT; return normally after a clean stop.

    Raises CannotListen.
    """
    # Until uvicorn listens to signals itself, and once it has stopped: it raises the signal
    # again then, and a clean stop exits 0.
    previous = signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
