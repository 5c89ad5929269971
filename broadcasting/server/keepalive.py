"""WebSocket pings of the server's own, where uvicorn is asked for them (``ws_ping_interval``).

One timer for all sockets of a server, not one for each. ``websockets_serve`` asks for none: its
node asks silent peers itself.
"""

from __future__ import annotations

import asyncio
import typing
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

LOOKS = 4
"""How often we look in the shorter of both times; so much of it may be late."""


class Asked(typing.Protocol):
    """What is kept alive."""

    asked_at: float | None
    """When it was pinged last, if that is not answered."""

    held: bool
    """Whether we stopped reading, and could not hear an answer."""

    def ask(self) -> None:
        """Send a ping."""

    def fail(self, code: int, reason: str) -> None:
        """End it."""


class Keepalive:
    """Pings the open sockets of one server, and ends those that do not answer."""

    __slots__ = ("_interval", "_loop", "_period", "_sockets", "_timeout", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, timeout: float | None):
        """Seconds between two pings, and for an answer; without the latter none is missed."""
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._period = min(interval, timeout or interval) / LOOKS
        self._timer: asyncio.TimerHandle | None = None
        self._sockets: dict[Asked, float] = {}
        """With when each was pinged last, in seconds of the loop's clock."""

    def add(self, socket: Asked) -> None:
        """Begin with an open socket."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._period, self._look)
        self._sockets[socket] = self._loop.time()

    def remove(self, socket: Asked) -> None:
        """Forget one that ended."""
        self._sockets.pop(socket, None)
        if not self._sockets and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for socket, pinged_at in list(self._sockets.items()):
            asked_at = socket.asked_at
            if asked_at is None or self._timeout is None:
                if now - pinged_at >= self._interval:
                    self._sockets[socket] = socket.asked_at = now
                    socket.ask()
            elif now - asked_at >= self._timeout and not socket.held:
                self.remove(socket)
                socket.fail(1011, "keepalive ping timeout")
        if self._sockets:
            self._timer = self._loop.call_later(self._period, self._look)


_servers: WeakKeyDictionary[ServerState, Keepalive] = WeakKeyDictionary()


def keep(config: Config, state: ServerState, loop: asyncio.AbstractEventLoop) -> Keepalive | None:
    """Return what keeps the sockets of this server alive, if it is asked for."""
    if not config.ws_ping_interval:
        return None
    if state not in _servers:
        _servers[state] = Keepalive(loop, config.ws_ping_interval, config.ws_ping_timeout)
    return _servers[state]
