"""A user with a real socket, who returns as pusher-js does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from broadcasting.protocol.names import ChannelKind, kind_of
from tests.conformance.peer import OPTIONS
from tests.live import Server
from tests.simulator.view import Shown, View

CUT = 1006

APP = "right"
"""Has everything on."""


class Client:
    """Keeps one socket to one server after the other, until it is told to go."""

    def __init__(
        self,
        name: str,
        user_id: str,
        some_server: Callable[[], Server | None],
        deaths: Callable[[Server], int],
        sign: Callable[[str, str, str | None], str],
        fault: Callable[[str], object],
    ) -> None:
        """``deaths``: how often a server was killed; ``sign`` takes a socket id, a channel and its
        data."""
        self.name = name
        self.user_id = user_id
        self.wanted: dict[str, None] = {}
        self.server: Server | None = None
        self.socket_id: str | None = None
        self.codes: list[int | None] = []
        """With which the servers closed its sockets; 1006: they were cut."""

        self._view = View(name, user_id, fault)
        self._fault = fault
        self._some_server = some_server
        self._deaths = deaths
        self._sign = sign
        self._socket: ClientConnection | None = None
        self._whispered = 0
        self._life = asyncio.create_task(self._live())

    @property
    def shown(self) -> dict[str, Shown]:
        """What it shows."""
        return self._view.shown

    async def subscribe(self, channel: str) -> None:
        """Want ``channel``."""
        if channel not in self.wanted:
            self.wanted[channel] = None
            await self._ask_for(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Want it no more."""
        self.wanted.pop(channel, None)
        self.shown.pop(channel, None)
        await self._say("pusher:unsubscribe", {"channel": channel})

    async def whisper(self, channel: str) -> None:
        """Send a client event."""
        self._whispered += 1
        data = {"by": self.name, "n": self._whispered}
        await self._say("client-e", data, channel=channel)

    async def leave(self, *, silently: bool = False) -> None:
        """Go for good; ``silently``: as if the cable was cut."""
        self._life.cancel()
        if silently and self._socket is not None:
            self._socket.transport.abort()
        await asyncio.gather(self._life, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            server = self._some_server()
            if server is not None:
                try:
                    await self._stay(server)
                except (OSError, TimeoutError, WebSocketException):
                    pass  # cut, refused, or not there
                except Exception as problem:
                    self._fault(f"{self.name} cannot go on: {problem!r}")
                    raise
            await asyncio.sleep(random.uniform(0.1, 1.0))

    async def _stay(self, server: Server) -> None:
        url = f"ws://127.0.0.1:{server.port}/app/{APP}-key?protocol=7"
        options = {**OPTIONS, "open_timeout": 5, "close_timeout": 2}
        deaths = self._deaths(server)
        async with connect(url, **options) as socket:
            self._socket, self.server = socket, server
            try:
                async for text in socket:
                    await self._hear(json.loads(text))
            except ConnectionClosed:
                pass  # it says so of every code but two
            finally:
                self._socket = self.server = self.socket_id = None
                self.shown.clear()
            await socket.wait_closed()
            self._note(socket.close_code, was_killed=self._deaths(server) > deaths)

    def _note(self, code: int | None, *, was_killed: bool) -> None:
        self.codes.append(code)
        if code in (None, CUT) and not was_killed:
            self._fault(f"{self.name} was left without a close by a server that lives")
        if code is not None and 4000 <= code < 4100:
            self._fault(f"{self.name} was sent away with {code}")

    async def _hear(self, frame: dict[str, Any]) -> None:
        event: str = frame["event"]
        channel: str = frame.get("channel", "")
        data: Any = frame.get("data")
        if isinstance(data, str):
            data = json.loads(data)
        if event == "pusher:connection_established":
            self.socket_id = data["socket_id"]
            for wanted in tuple(self.wanted):
                await self._ask_for(wanted)
        elif event == "pusher:ping":
            await self._say("pusher:pong", {})
        elif event == "pusher:subscription_error":
            self._fault(f"{self.name} was refused {channel}: {data}")
        elif channel in self.wanted:
            self._view.take(event, channel, data)

    async def _ask_for(self, channel: str) -> None:
        if self.socket_id is None:
            return
        data: dict[str, Any] = {"channel": channel}
        channel_data = None
        if kind_of(channel) is ChannelKind.PRESENCE:
            channel_data = data["channel_data"] = json.dumps({"user_id": self.user_id})
        if kind_of(channel) is not ChannelKind.PUBLIC:
            data["auth"] = self._sign(self.socket_id, channel, channel_data)
        await self._say("pusher:subscribe", data)

    async def _say(self, event: str, data: Any, **more: Any) -> None:
        socket = self._socket
        if socket is not None and self.socket_id is not None:
            # Whoever is cut off learns it from reading, and a full pipe must not hold up others.
            with contextlib.suppress(WebSocketException, TimeoutError):
                async with asyncio.timeout(1):
                    await socket.send(json.dumps({"event": event, "data": data, **more}))
