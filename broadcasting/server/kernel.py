"""Bytes for the kernel, past a transport that holds nothing.

A transport's ``write()`` ends in the system call ``write``, which treats a socket as a file:
locks, checks and notices that a tenth of the time of a fan-out goes into. ``send`` has none of
them, and the fewer objects are touched for each socket, the better.
"""

from __future__ import annotations

import asyncio
import os
from socket import SocketType


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
