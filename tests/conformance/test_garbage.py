"""What no client would send: the server ends at most the socket that sent it, serves the others
meanwhile, and keeps nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.bare import HANDSHAKE, plug, shake_hands, wire
from tests.conformance.caller import Caller
from tests.conformance.peer import join
from tests.conformance.publishing import publish
from tests.live import PATIENCE, Server

MEGABYTE = 1_048_576
ROOM = 48 * MEGABYTE
"""What the process may grow by, over any one of these tests."""

PING = wire(b'{"event":"pusher:ping"}')


def announced(size: int) -> bytes:
    """Return the beginning of a text frame that says how long it is going to be."""
    return bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + bytes(4)


ENDING = {
    "a reserved bit": bytes([0xC1]) + PING[1:],
    "all reserved bits": bytes([0xF1]) + PING[1:],
    "an unknown opcode": wire(b"x", 0x3),
    "an unknown control opcode": wire(b"x", 0xB),
    "no mask": wire(b'{"event":"pusher:ping"}', masked=False),
    "a control frame that is too long": wire(bytes(126), 0x9),
    "a control frame in pieces": wire(b"x", 0x9, fin=False),
    "a continuation of nothing": wire(b"x", 0x0),
    "a message within a message": wire(b"{", fin=False) + PING,
    "a length with its highest bit set": announced(1 << 63),
    "a close of one byte": wire(b"\x03", 0x8),
    "a close with a code that is none": wire((999).to_bytes(2, "big"), 0x8),
    "a close whose reason is not text": wire((1000).to_bytes(2, "big") + b"\xff", 0x8),
    "a gigabyte, announced": announced(1 << 30),
    "a gigabyte, begun": announced(1 << 30) + bytes(4 * MEGABYTE),
    "a message without an end": wire(b"x" * 65_536, fin=False)
    + wire(b"x" * 65_536, 0x0, fin=False) * 64,
}

HANDSHAKES = {
    "nothing": b"",
    "half a line": b"GET /app/app",
    "no blank line": HANDSHAKE[:-2],
    "no key": re.sub(rb"Sec-WebSocket-Key.*\r\n", b"", HANDSHAKE),
    "a bad key": HANDSHAKE.replace(b"A==", b"!"),
    "an old version": HANDSHAKE.replace(b"Version: 13", b"Version: 8"),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "a header without a colon": HANDSHAKE.replace(b"Host: 127.0.0.1", b"Host"),
    "a path of a megabyte": b"GET /app/" + b"x" * MEGABYTE + b" HTTP/1.1\r\n\r\n",
    "a body to an upgrade": HANDSHAKE.replace(b"Host", b"Content-Length: 9\r\nHost") + b"x" * 9,
    "frames before the answer": HANDSHAKE + PING * 3,
}

DEEP = {
    "arrays": "[" * 30_000,
    "arrays, closed": '{"event":"client-x","channel":"c","data":' + "[" * 9_000 + "]" * 9_000 + "}",
    "objects": '{"a":' * 10_000,
    "a long number": '{"event":"client-x","channel":"c","data":' + "9" * 60_000 + "}",
    "a long fraction": '{"event":"client-x","channel":"c","data":0.' + "3" * 60_000 + "}",
    "a huge exponent": '{"event":"client-x","channel":"c","data":1e999999999}',
    "many keys": '{"event":"pusher:ping","data":{' + '"a":1,' * 9_000 + '"b":1}}',
}


@pytest.fixture(scope="module", params=live.WAYS)
def battered(request: pytest.FixtureRequest, live_database: Path) -> Iterator[Server]:
    """A server of each kind that nobody else has to rely on."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving(request.param, env) as running:
        before = memory_of(running)
        yield running
        assert memory_of(running) - before < ROOM


def memory_of(server: Server) -> int:
    """Return the bytes that the process has in memory."""
    assert server.process is not None
    assert server.process.poll() is None, "it crashed"
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1_024


@contextlib.asynccontextmanager
async def undisturbed(server: Server) -> AsyncIterator[None]:
    """Serve somebody else all the while, and end with about the memory there was before."""
    before = memory_of(server)
    over = asyncio.Event()

    async def listen() -> int:
        heard = 0
        async with join(server) as other:
            await other.subscribe("calm")
            while not (over.is_set() and heard):
                await publish(server, "calm", "n", str(heard))
                assert await other.expect("n", "calm") == str(heard)
                heard += 1
            await other.silence()
        return heard

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        over.set()
        await listening
    assert memory_of(server) - before < ROOM


async def until_the_end(reader: asyncio.StreamReader) -> None:
    """Return once the server has ended the connection."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass


@pytest.mark.parametrize("what", ENDING)
async def test_what_is_no_websocket_ends_its_socket_only(battered: Server, what: str) -> None:
    async with undisturbed(battered), plug(battered) as (reader, writer):
        await shake_hands(reader, writer)
        writer.write(ENDING[what])
        await until_the_end(reader)


async def test_noise_ends_its_socket_only(battered: Server) -> None:
    chance = random.Random(7)
    async with undisturbed(battered):
        for _ in range(30):
            async with plug(battered) as (reader, writer):
                await shake_hands(reader, writer)
                # Not a frame that says it is short, which would be waited for.
                writer.write(bytes([chance.randrange(0x90, 0x100)]) + chance.randbytes(70_000))
                await until_the_end(reader)


async def test_a_frame_may_come_byte_by_byte(battered: Server) -> None:
    """44."""
    async with undisturbed(battered), plug(battered) as (reader, writer):
        await shake_hands(reader, writer)
        for byte in wire(b'{"event":', fin=False) + wire(b'"pusher:ping"}', 0x0):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert b"pusher:pong" in await reader.readuntil(b"}")


@pytest.mark.parametrize("what", HANDSHAKES)
async def test_a_broken_handshake_holds_up_nobody(battered: Server, what: str) -> None:
    """23."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(undisturbed(battered))
        for _ in range(20):
            _, writer = await stack.enter_async_context(plug(battered))
            writer.write(HANDSHAKES[what])
        async with join(battered) as peer:
            await peer.silence()


async def test_headers_without_end_are_not_collected(battered: Server) -> None:
    async with undisturbed(battered), plug(battered) as (reader, writer):
        writer.write(HANDSHAKE[:-2])
        sending = asyncio.create_task(send_headers(writer))
        await until_the_end(reader)
        sending.cancel()


async def send_headers(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for number in range(64):
            writer.write(b"X-%d: " % number + b"x" * MEGABYTE + b"\r\n")
            await writer.drain()


async def test_many_that_never_finish_their_handshake(battered: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(undisturbed(battered))
        for _ in range(200):
            _, writer = await stack.enter_async_context(plug(battered))
            writer.write(HANDSHAKE[:40])


@pytest.mark.parametrize("what", DEEP)
async def test_deep_and_long_json_is_an_answer_like_any_other(battered: Server, what: str) -> None:
    """37."""
    async with undisturbed(battered), join(battered) as peer:
        for _ in range(3):
            await peer.text(DEEP[what])
            answer = await peer.receive()
            assert answer["event"] in ("pusher:error", "pusher:pong")
        await peer.silence()


@pytest.mark.parametrize("what", DEEP)
async def test_the_http_api_takes_no_such_json_either(battered: Server, what: str) -> None:
    """185."""
    async with undisturbed(battered):
        answer = await asyncio.to_thread(Caller(battered).post, DEEP[what].encode())
        assert answer.status == 400
