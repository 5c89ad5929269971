"""What a server may lend to a socket beside ASGI: the way to the wire, and what is heard on it.

ASGI asks for a message, a coroutine and the framing of each frame for each socket. With a lane
the frame of a broadcast is built once, and its bytes go to every transport as they are.
"""

from __future__ import annotations

import typing
from collections.abc import Callable

LANE = "broadcasting.lane"
"""The extension of the scope under which a server offers a Lane, once the socket is accepted."""


class Watcher(typing.Protocol):
    """Who wants to know how the transport is; called on the loop, between two writes or in one."""

    def pause(self) -> None:
        """The transport holds something: write no more for now."""

    def resume(self) -> None:
        """The transport holds nothing any more, or ``send_now`` has come."""

    def lose(self) -> None:
        """Nothing can be written any more: the connection ends, or its close frame is sent."""


class Lane(typing.Protocol):
    """One open WebSocket, below ASGI."""

    heard_at: float | None
    """When the last ping or pong came, in seconds of the loop's clock; None: never."""

    paused: bool
    """Whether the transport holds something that the kernel did not take."""

    send_now: Callable[[bytes], int] | None
    """Gives whole frames straight to the kernel, as a socket's ``send`` does: it returns how many
    bytes were taken, or raises OSError for none, and ``write`` must get the rest at once. Only
    while the lane is not paused; None where it cannot be done, such as over TLS."""

    watcher: Watcher | None
    """Told of every change of ``paused``, and of the end."""

    def write(self, wire: bytes) -> None:
        """Send whole unmasked frames, behind everything that was sent either way before."""

    def ask(self) -> None:
        """Send a ping."""

    def waiting(self) -> int:
        """Return the bytes that the transport has not handed to the kernel yet."""
