"""What a server may lend to a socket beside ASGI: the way to the wire, and what is heard on it.

ASGI asks for a message, a coroutine and the framing of each frame for each socket. With a lane
the frame of a broadcast is built once, and its bytes go to every transport as they are.
"""

from __future__ import annotations

import typing

LANE = "broadcasting.lane"
"""The extension of the scope under which a server offers a Lane, once the socket is accepted."""


class Watcher(typing.Protocol):
    """Who wants to know how the transport is; called on the loop, between two writes or in one."""

    def pause(self) -> None:
        """As much waits in the transport as should: write no more for now."""

    def resume(self) -> None:
        """The transport has room again, or ``write`` is another one now."""

    def lose(self) -> None:
        """Nothing can be written any more: the connection ends, or its close frame is sent."""


class Lane(typing.Protocol):
    """One open WebSocket, below ASGI."""

    heard_at: float | None
    """When the last ping or pong came, in seconds of the loop's clock; None: never."""

    paused: bool
    """Whether as much waits in the transport as should."""

    watcher: Watcher | None
    """Told of every change of ``paused``, and of the end."""

    def write(self, wire: bytes) -> None:
        """Send whole unmasked frames, behind everything that was sent either way before.

        May be kept and called for as long as nothing else is told.
        """

    def ask(self) -> None:
        """Send a ping."""

    def waiting(self) -> int:
        """Return the bytes that the transport has not handed to the kernel yet."""
