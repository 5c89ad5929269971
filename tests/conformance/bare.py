"""A connection without any library: frames that no client would send, or not so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.live import PATIENCE, Server

HANDSHAKE = (
    b"GET /app/app-key?protocol=7 HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"\r\n"
)


def wire(payload: bytes, opcode: int = 0x1, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return one WebSocket frame, for what no client library would send, or not so."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65_536:
        length = bytes([126]) + size.to_bytes(2, "big")
    else:
        length = bytes([127]) + size.to_bytes(8, "big")
    first = bytes([(0x80 if fin else 0) | opcode])
    # A mask of zeros changes nothing.
    if masked:
        return first + bytes([length[0] | 0x80]) + length[1:] + bytes(4) + payload
    return first + length + payload


@contextlib.asynccontextmanager
async def plug(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str = "/app/app-key"
) -> None:
    """Open a WebSocket, and take the greeting."""
    writer.write(HANDSHAKE.replace(b"/app/app-key", path.encode()))
    async with asyncio.timeout(PATIENCE):
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        await reader.readuntil(b'"}')  # the end of the greeting
