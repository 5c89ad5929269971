"""What is said to the kernel about a socket, and bytes for it past a transport that holds nothing.

A transport's ``write()`` ends in the system call ``write``, which treats a socket as a file:
locks, checks and notices that a tenth of the time of a fan-out goes into. ``send`` has none of
them, and the fewer objects are touched for each socket, the better.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from socket import SO_LINGER, SO_RCVBUF, SOL_SOCKET, SocketType

WINDOW = 32_768
"""Bytes that the kernel takes from a peer while we do not read (Linux takes twice as many). What it
has taken comes in one read, and is kept here until the last message in it is handled."""


class Borrowed(SocketType):
    """The socket of a transport, which alone may close it."""

    __slots__ = ()

    def __del__(self) -> None:
        # One that is dropped closes its file, which may be somebody else's by then.
        self.detach()


def borrow(transport: asyncio.Transport) -> Borrowed | None:
    """Return the socket under ``transport``; None if its bytes are not those on the wire."""
    found = transport.get_extra_info("socket")
    # Windows has no files here, and writes while it waits.
    if found is None or os.name == "nt" or transport.get_extra_info("sslcontext") is not None:
        return None
    borrowed = Borrowed(found.family, found.type, found.proto, found.fileno())
    borrowed.setblocking(False)
    return borrowed


def limit_window(transport: asyncio.BaseTransport) -> None:
    """Let the kernel take no more than WINDOW from a peer that is not read."""
    _set(transport, SO_RCVBUF, WINDOW)


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection at once, and let the kernel forget what waits in it for the peer too."""
    _set(transport, SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _set(transport: asyncio.BaseTransport, option: int, value: int | bytes) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        # Not every kind of socket lingers or has a window, or is there still.
        with contextlib.suppress(OSError):
            found.setsockopt(SOL_SOCKET, option, value)
