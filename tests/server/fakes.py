"""Sockets without a server: what they were sent, and how fast they read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from broadcasting.conf import ServerSettings
from broadcasting.protocol.application import Application
from broadcasting.protocol.protocol import Protocol
from broadcasting.server.connection import Connection
from broadcasting.server.counters import Counters
from broadcasting.server.lane import Lane, Watcher

APPLICATION = Application(id="app", key="app-key", secret="app-secret", enable_client_events=True)


class FakeSocket:
    """An ASGI ``send`` that finishes in one step, as servers do for peers that read."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    @property
    def texts(self) -> list[str]:
        return [m["text"] for m in self.messages if m["type"] == "websocket.send"]

    @property
    def close_code(self) -> int | None:
        return next((m["code"] for m in self.messages if m["type"] == "websocket.close"), None)


class StalledSocket(FakeSocket):
    """A peer that reads nothing until ``reads`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        await super().send(message)


class VanishedSocket(FakeSocket):
    """A peer that is gone; servers raise then, each in its own way."""

    async def send(self, message: dict[str, Any]) -> None:
        raise RuntimeError("Unexpected ASGI message after the close")


class FakeLane:
    """A transport whose peer reads as long as it is told to."""

    heard_at: float | None = None

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.send_now: Callable[[bytes], int] | None = None
        self.held = 0
        """Bytes that the transport holds."""

        self.paused = False
        self.watcher: Watcher | None = None

    def write(self, wire: bytes) -> None:
        self.written.append(wire)

    def ask(self) -> None:
        """Nobody answers."""

    def waiting(self) -> int:
        return self.held

    def pause(self) -> None:
        self.paused = True
        if self.watcher is not None:
            self.watcher.pause()

    def resume(self) -> None:
        self.paused = False
        if self.watcher is not None:
            self.watcher.resume()


def connection(
    socket: FakeSocket,
    socket_id: str = "1.1",
    settings: ServerSettings | None = None,
    counters: Counters | None = None,
    task: asyncio.Task[Any] | None = None,
    lane: Lane | None = None,
) -> Connection:
    protocol = Protocol(APPLICATION, socket_id, now=0.0)
    return Connection(
        protocol, socket.send, settings or ServerSettings(), counters or Counters(), task, lane
    )
