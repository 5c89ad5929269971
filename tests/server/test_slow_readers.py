"""Peers that do not read, against the real server: bounded, given up, and in nobody's way."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.conformance.publishing import publish

HANDSHAKE = (
    b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# Masked with zeros: the text as it is.
SUBSCRIBE = b'{"event":"pusher:subscribe","data":{"channel":"flood"}}'
FRAME = bytes([0x81, 0x80 | len(SUBSCRIBE), 0, 0, 0, 0]) + SUBSCRIBE

EVENT = "x" * 10_000
ENOUGH = 900
"""Events that fill what the kernel buffers for one socket, and the outbox behind it."""

LANES = pytest.mark.parametrize("way", ["uvicorn", "uvicorn-slow-lane"])
ENDS = pytest.mark.parametrize(
    "way", ["uvicorn", pytest.param("uvicorn-slow-lane", marks=pytest.mark.full)]
)
"""What the server does alone, whichever way the frames left."""


@asynccontextmanager
async def deaf(port: int) -> AsyncIterator[socket.socket]:
    """A subscriber that reads its answers and then nothing more."""
    loop = asyncio.get_running_loop()
    # A window that does not grow.
    with await talking(port, b"", window=65_536) as peer:
        for said, awaited in ((HANDSHAKE, b"_established"), (FRAME, b"subscription_succeeded")):
            await loop.sock_sendall(peer, said)
            answer = b""
            async with asyncio.timeout(live.PATIENCE):
                while awaited not in answer:
                    answer += await loop.sock_recv(peer, 4_096)
        yield peer


async def talking(port: int, said: bytes, window: int | None = None) -> socket.socket:
    """Return a connection on which ``said`` was sent."""
    loop = asyncio.get_running_loop()
    peer = socket.socket()
    peer.setblocking(False)
    if window is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    await loop.sock_connect(peer, ("127.0.0.1", port))
    await loop.sock_sendall(peer, said)
    return peer


async def read_until(peer: socket.socket, last: bytes) -> bytes:
    """Return all that a peer gets which reads again, up to ``last`` or the end."""
    loop = asyncio.get_running_loop()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    received = bytearray()
    async with asyncio.timeout(live.PATIENCE):
        while not received.endswith(last) and (part := await loop.sock_recv(peer, 1 << 20)):
            received += part
    return bytes(received)


def env(database: Path, **changes: str) -> dict[str, str]:
    return {"BROADCASTING_TEST_DATABASE": str(database), "LIVE_OUTBOX_BYTES": "100000", **changes}


async def flood(server: live.Server) -> None:
    for _ in range(ENOUGH):
        await publish(server, "flood", "E", EVENT)


@LANES
async def test_one_that_reads_again_learns_why_it_was_sent_away(way: live.Way, live_database: Path):
    with live.serving(way, env(live_database)) as server:
        async with deaf(server.port) as peer, join(server) as other:
            await other.subscribe("flood")
            flooding = asyncio.create_task(flood(server))
            for _ in range(ENOUGH):  # the other one gets all of it meanwhile
                await other.expect("E", "flood")
            await flooding
            await asyncio.to_thread(live.wait_for_line, server.log, "reads too slowly")
            # A close frame with 4100, from which clients return.
            reason = b"Reads too slowly"
            close = bytes([0x88, 2 + len(reason)]) + (4100).to_bytes(2, "big") + reason
            received = await read_until(peer, close)
        assert received.endswith(close)
        assert received.count(b'"event":"E"') < ENOUGH


@pytest.mark.full
@LANES
async def test_one_that_never_reads_is_cut_off(way: live.Way, live_database: Path):
    """240."""
    with live.serving(way, env(live_database, LIVE_PONG_TIMEOUT="0.5")) as server:
        async with deaf(server.port) as peer, join(server) as other:
            await flood(server)
            await asyncio.to_thread(live.wait_for_line, server.log, "reads too slowly")
            await until_cut_off(peer)
            await other.silence()


@LANES
async def test_one_that_is_behind_gets_all_of_it_from_a_server_that_stops(
    way: live.Way, live_database: Path
):
    with live.serving(way, env(live_database, LIVE_OUTBOX_BYTES="10000000")) as server:
        async with deaf(server.port) as peer, join(server) as other:
            await flood(server)
            assert server.process is not None
            server.process.terminate()
            await other.expect("pusher:error")
            code, reason = await other.closed()
            # Nobody else is left, but it has time: DRAIN_SECONDS is 2 there.
            with pytest.raises(subprocess.TimeoutExpired):
                await asyncio.to_thread(server.process.wait, 0.3)
            last = code.to_bytes(2, "big") + reason.encode()
            received = await read_until(peer, last)
        assert code == 4200
        assert received.count(b'"event":"E"') == ENOUGH
        assert received.endswith(last)


SITE = """
import sys
import django; django.setup()
from broadcasting.asgi import get_application
from broadcasting.server import serve
from broadcasting.server.listening import on_port
from broadcasting.server.serve import SocketServer, configuration, run

async def site(scope, receive, send):
    headers = [(b"content-length", b"12000000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(12_000_000)})

serve.TICKS_A_LOOK = 2
config = configuration(get_application(site), drain_seconds=20, log_level="warning")
run(SocketServer(config, on_port("127.0.0.1", int(sys.argv[1])), print, patience=0.2))
"""


@pytest.mark.parametrize("stops", [False, True])
async def test_a_slow_download_is_no_socket_and_comes_to_its_end(tmp_path: Path, stops: bool):
    """Its connection closes as well, once all is written."""
    port, log = live.free_port(), tmp_path / "log"
    settings = {"DJANGO_SETTINGS_MODULE": "tests.server.bare_settings"}
    process, told = live.spawn([sys.executable, "-c", SITE, str(port)], settings, log), False
    try:
        await asyncio.to_thread(live.wait_for_port, port, process, log)
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        loop = asyncio.get_running_loop()
        with await talking(port, request, window=65_536) as peer:
            received = len(await loop.sock_recv(peer, 65_536))
            if told := stops:
                process.terminate()
            # Slower than the server would wait for a socket, and looks for one.
            until = loop.time() + 1.5
            while part := await loop.sock_recv(peer, 65_536):
                received += len(part)
                await asyncio.sleep(0.1 if loop.time() < until else 0)
        assert received > 12_000_000
    finally:
        if not told:  # once it is done, Python itself would die of a second one
            process.terminate()
        assert await asyncio.to_thread(process.wait, live.PATIENCE) == 0


@ENDS
async def test_one_that_never_reads_does_not_hold_up_the_end(way: live.Way, live_database: Path):
    with live.serving(way, env(live_database)) as server:
        async with deaf(server.port):
            await flood(server)
            await asyncio.to_thread(live.wait_for_line, server.log, "reads too slowly")
            assert await asyncio.to_thread(server.stop) == 0


async def until_cut_off(peer: socket.socket) -> None:
    """Return once the server reset the connection, without reading from it."""
    async with asyncio.timeout(live.PATIENCE):
        while True:
            # The state alone: reading would let the server go on.
            if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or closed(peer):
                return
            await asyncio.sleep(0.05)  # the kernel tells nobody who does not read


def closed(peer: socket.socket) -> bool:
    state = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    established = 1
    return state != established


pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs Linux")
