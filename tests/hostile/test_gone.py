"""Peers that vanish, hang up at once, never finish TLS, or want every channel there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as dial

from tests import live
from tests.conformance.bare import HANDSHAKE
from tests.conformance.peer import OPTIONS, join
from tests.conformance.publishing import look_up
from tests.conformance.test_garbage import memory_of, undisturbed
from tests.hostile.crowds import PING, connect, open_socket, say, subscription
from tests.hostile.test_memory import BOUND
from tests.server.certificates import Certificate, trusting

LANES = pytest.mark.parametrize("way", ["uvicorn", "uvicorn-slow-lane"])
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
"""The beginning of a ClientHello."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@LANES
async def test_a_peer_that_vanished_is_forgotten(way: live.Way, live_database: Path) -> None:
    """Its kernel says nothing any more, not even that it is gone."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_ACTIVITY_TIMEOUT": "0.4",
        "LIVE_PONG_TIMEOUT": "0.6",
    }
    with live.serving(way, env) as server, contextlib.ExitStack() as stack:
        async with join(server) as honest:
            honest.polite = True
            for _ in range(100):
                stack.enter_context(await open_socket(server))
            while (await look_up(server, "connections"))["connections"] != 1:
                await honest.silence()


async def test_handshakes_that_hang_up_at_once(target: live.Server) -> None:
    now = struct.pack("ii", 1, 0)
    async with undisturbed(target):
        for number in range(1_500):
            handshake = HANDSHAKE if number % 2 else HANDSHAKE[:60]
            with await connect(target, handshake) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    while (await look_up(target, "connections"))["connections"]:
        await asyncio.sleep(0)


@pytest.mark.full
@LANES
async def test_who_reads_late_has_every_answer(way: live.Way, live_database: Path) -> None:
    """It is not heard meanwhile, so it cannot go on asking, but nothing of it is lost."""
    with live.serving(way, {"BROADCASTING_TEST_DATABASE": str(live_database)}) as server:
        peer, asked = await open_socket(server, "unpaced", window=2_304), 150_000
        with peer:
            loop = asyncio.get_running_loop()
            asking = asyncio.create_task(loop.sock_sendall(peer, PING * asked))
            async with join(server) as honest:
                for _ in range(20):
                    await honest.silence()
            assert not asking.done()
            received = await read_count(peer, b"pusher:pong", asked)
            await asking
        assert received.count(b"pusher:pong") == asked


async def read_count(peer: socket.socket, awaited: bytes, count: int) -> bytearray:
    """Return what came until ``awaited`` came so often."""
    received = bytearray()
    async with asyncio.timeout(live.PATIENCE):
        while received.count(awaited) < count:
            received += await asyncio.get_running_loop().sock_recv(peer, 262_144)
    return received


@pytest.mark.full
async def test_a_hundred_thousand_names(live_database: Path) -> None:
    """It gets as many channels as a socket may have, and is ended if it goes on."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving("uvicorn", env) as server, contextlib.ExitStack() as stack:
        async with undisturbed(server):
            before = memory_of(server)
            peer = stack.enter_context(await open_socket(server))
            asking = asyncio.create_task(ask_for_all(peer))
            received = await everything(peer)
            asking.cancel()
            assert received.count(b"subscription_succeeded") == 200
            assert b'"code":4100' in received
            assert memory_of(server) - before < 1_048_576
        assert (await look_up(server, "channels"))["channels"] == {}


async def ask_for_all(peer: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        for number in range(100_000):
            await loop.sock_sendall(peer, subscription(f"name-{number}"))


async def everything(peer: socket.socket) -> bytes:
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.get_running_loop().sock_recv(peer, 65_536):
            received += part
    return bytes(received)


async def test_tls_that_is_never_finished(
    live_database: Path, certificate: Certificate, tmp_path: Path
) -> None:
    crowd, port, log = 150, live.free_port(), tmp_path / "log"
    files = ["--certfile", str(certificate.certificate), "--keyfile", str(certificate.key)]
    command = [sys.executable, "-m", "django", "websockets_serve", "--port", str(port), *files]
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    process = live.spawn(command, env, log)
    server = live.Server("uvicorn", port, env, process)
    try:
        live.wait_for_port(port, process, log)
        before = memory_of(server)
        with contextlib.ExitStack() as stack:
            for _ in range(crowd):
                peer = stack.enter_context(await connect(server))
                await say(peer, HELLO)
            await greeted_over_tls(port, certificate)
            assert (memory_of(server) - before) / crowd < BOUND
        await greeted_over_tls(port, certificate)
    finally:
        live.stop(process)


async def greeted_over_tls(port: int, certificate: Certificate) -> None:
    url = f"wss://127.0.0.1:{port}/app/tls-key?protocol=7"
    async with dial(url, ssl=trusting(certificate), **OPTIONS) as client:
        greeting = json.loads(await client.recv())
    assert greeting["event"] == "pusher:connection_established"
