"""Where Daphne decides for itself: rows of ``docs/reference/servers.md`` without another test."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from daphne.server import Server as Daphne
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests import live
from tests.conformance.bare import HANDSHAKE, plug, wire
from tests.conformance.peer import dial, greet, join
from tests.conftest import Valkey
from tests.live import PATIENCE, Server
from tests.server.certificates import Certificate
from tests.server.test_slow_readers import ENOUGH, EVENT, deaf, flood, read_until

KINDS = pytest.mark.parametrize("kind", ["uvicorn", "daphne"])


@contextlib.asynccontextmanager
async def daphne(database: Path, log: Path, *options: str) -> AsyncIterator[Server]:
    """Daphne by its own command, with options that ``runserver`` does not have."""
    server = Server("daphne", live.free_port(), log=log)
    command = [*(sys.executable, "-m", "daphne", "-p", str(server.port)), *options]
    process = live.spawn(
        [*command, "tests.liveapp.asgi:application"],
        {"BROADCASTING_TEST_DATABASE": str(database)},
        log,
    )
    try:
        await asyncio.to_thread(live.wait_for_port, server.port, process, log)
        yield server
    finally:
        await asyncio.to_thread(live.stop, process, signal.SIGKILL)


def usual(option: str) -> object:
    """What Daphne does where nobody says otherwise, as ``runserver`` never does."""
    return inspect.signature(Daphne).parameters[option].default


async def test_daphne_has_pings_of_its_own(live_database: Path, tmp_path: Path) -> None:
    """Clients answer them below what a page sees; nothing is asked by ``pusher:ping``."""
    assert usual("ping_interval") == 20
    async with (
        daphne(live_database, tmp_path / "log", "--ping-interval", "1") as server,
        plug(server) as (reader, writer),
        asyncio.timeout(PATIENCE),
    ):
        writer.write(HANDSHAKE)
        await reader.readuntil(b'"}')
        for _ in range(2):
            first, length = await reader.readexactly(2)
            assert first == 0x80 | 0x9
            writer.write(wire(await reader.readexactly(length), 0xA))


async def test_daphne_ends_sockets_that_live_long(live_database: Path, tmp_path: Path) -> None:
    assert usual("websocket_timeout") == 24 * 60 * 60
    async with (
        daphne(live_database, tmp_path / "log", "--websocket_timeout", "1") as server,
        join(server) as peer,
    ):
        assert await peer.closed() == (1000, "")


async def test_daphne_keeps_everything_for_a_slow_reader(live_database: Path) -> None:
    """Far more than ``OUTBOX_BYTES``, and nobody is sent away."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database), "LIVE_OUTBOX_BYTES": "100000"}
    with live.serving("daphne", env) as server:
        async with deaf(server.port) as peer:
            await flood(server)
            received = b""
            while received.count(EVENT.encode()) < ENOUGH:
                more = await read_until(peer, b"}")
                assert more, "it was sent away"
                received += more


@KINDS
async def test_a_proxy_that_the_server_trusts_says_that_there_is_tls(
    kind: live.Kind, live_database: Path
) -> None:
    """uvicorn trusts one on the same machine; Daphne none, and Django the one of its setting."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    for header, trusted in ({"uvicorn": True, "daphne": False}[kind], None), (True, "HTTP_X_TLS"):
        more = {} if trusted is None else {"LIVE_PROXY_HEADER": trusted}
        said = {"X-Forwarded-Proto": "https"} if trusted is None else {"X-Tls": "https"}
        with live.serving(kind, env | more) as server:
            async with dial(server, "tls") as peer:
                await peer.expect_refusal(None, 4000)
            async with dial(server, "tls", headers=said) as peer:
                if header:
                    await greet(peer)
                else:
                    await peer.expect_refusal(None, 4000)


async def test_daphne_does_not_tell_of_its_own_tls(
    certificate: Certificate, live_database: Path, tmp_path: Path
) -> None:
    """That of ``websockets_serve`` counts: tests/server/test_listening.py."""
    port = live.free_port()
    files = f"privateKey={certificate.key}:certKey={certificate.certificate}"
    endpoint = f"ssl:{port}:interface=127.0.0.1:{files}"
    async with daphne(live_database, tmp_path / "log", "-e", endpoint):
        url = f"wss://127.0.0.1:{port}/app/tls-key?protocol=7"
        # Without a word of HTTP/2, which it would take for a socket too.
        context = ssl.create_default_context(cafile=certificate.certificate)
        async with connect(url, ssl=context) as client, asyncio.timeout(PATIENCE):
            assert '"code":4000' in str(await client.recv())


@KINDS
async def test_with_no_file_left_those_who_are_in_are_served(
    kind: live.Kind, live_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/server/test_limits.py says what ``websockets_serve`` does about it."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    spawn = live.spawn

    def with_few_files(command: list[str], *rest: Any) -> Any:
        return spawn(["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *command], *rest)

    monkeypatch.setattr(live, "spawn", with_few_files)
    with live.serving(kind, env) as server:
        async with join(server) as peer:
            with contextlib.ExitStack() as here:
                for _ in range(150):
                    crowd = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
                    here.enter_context(crowd)
                # The last one is cut off; whoever came before all of them is served.
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.to_thread(crowd.recv, 1) == b""
                await peer.silence()
            await until_let_in(server)


async def until_let_in(server: Server) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            # Those that went may not have been noticed yet.
            with contextlib.suppress(OSError, WebSocketException):
                async with join(server):
                    return
            await asyncio.sleep(0.05)


@KINDS
async def test_the_node_starts_with_the_server_or_the_first_request(
    kind: live.Kind, live_database: Path, own_valkey: Valkey
) -> None:
    """Once it runs, it listens to its backplane: nobody else does to this one."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "BROADCAST_BACKPLANE": "redis",
        "REDIS_URL": own_valkey.url,
    }
    client = own_valkey.server.client()

    async def is_heard() -> bool:
        return bool(await asyncio.to_thread(client.pubsub_channels))

    with live.serving(kind, env) as server:
        if kind == "daphne":
            assert not await is_heard()
            async with join(server):
                await until(is_heard)
        else:
            await until(is_heard)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await is_so():
            await asyncio.sleep(0.02)  # a server tells nobody who listens
