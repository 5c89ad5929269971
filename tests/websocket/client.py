"""A WebSocket client that does what it is told, right or wrong, and reads frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import struct
from collections.abc import AsyncIterator, Iterable

from tests.live import PATIENCE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
END = "the end of the connection"

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 (1.3) answers to its key."""


def request(path: str = "/", *headers: bytes, method: bytes = b"GET") -> bytes:
    """Return a handshake; a header of a name that every handshake has replaces that one."""
    usual = {
        b"host": b"Host: 127.0.0.1",
        b"connection": b"Connection: Upgrade",
        b"upgrade": b"Upgrade: websocket",
        b"sec-websocket-version": b"Sec-WebSocket-Version: 13",
        b"sec-websocket-key": b"Sec-WebSocket-Key: " + KEY,
    }
    given = {header.partition(b":")[0].lower() for header in headers}
    kept = [line for name, line in usual.items() if name not in given]
    lines = [method + b" " + path.encode() + b" HTTP/1.1", *kept, *headers, b"", b""]
    return b"\r\n".join(lines)


def wire(
    payload: bytes = b"", opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """Return one frame of a client."""
    size = len(payload)
    masked_bit = 0x80 if masked else 0
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        head = bytes([first, masked_bit | size])
    elif size < 65_536:
        head = struct.pack("!BBH", first, masked_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked_bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + xor(payload, mask)


def xor(payload: bytes, mask: bytes) -> bytes:
    """Return ``payload`` with the mask on it, or off it."""
    repeated = mask * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return number.to_bytes(len(payload), "big")


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Return a close frame of a client."""
    return wire(b"" if code is None else code.to_bytes(2, "big") + reason, CLOSE)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Send the parts, each on its own way, as long as the server takes any."""
        with contextlib.suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await asyncio.sleep(0)
            await self.writer.drain()

    async def head(self) -> tuple[bytes, dict[bytes, bytes]]:
        """Return status line and headers of the answer."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = head[:-4].split(b"\r\n")
        pairs = (line.split(b": ", 1) for line in lines)
        return status, {name.lower(): value for name, value in pairs}

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame, which must be a whole one of a server."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            assert first & 0xF0 == 0x80
            return first & 0x0F, await self.reader.readexactly(size)

    async def ended(self) -> bytes:
        """Return what still comes before the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(-1)
            return b""

    async def closed(self) -> int | None:
        """Return the code of the close frame that must come next, and behind it the end."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        assert await self.ended() == b""
        return int.from_bytes(payload[:2], "big") if payload else None

    async def leave(self) -> None:
        """Close as one should."""
        await self.send(close(1000))
        assert await self.closed() == 1000


@contextlib.asynccontextmanager
async def plugged(
    port: int, tls: ssl.SSLContext | None = None, window: int = 65_536
) -> AsyncIterator[Client]:
    """A bare connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=window)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        # The server's end may be waited for in this very thread.
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def opened(
    port: int, path: str = "/", headers: Iterable[bytes] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """An open WebSocket."""
    async with plugged(port, tls) as client:
        await client.send(request(path, *headers))
        status, answered = await client.head()
        assert status == b"HTTP/1.1 101 Switching Protocols"
        assert answered[b"sec-websocket-accept"] == ACCEPT
        yield client
