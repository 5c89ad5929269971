"""Under uvicorn as anybody runs it: TLS, h11, a Unix socket, pings, a path, an end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect

from tests import live
from tests.conformance.peer import OPTIONS
from tests.websocket.cases import KOSME, parts
from tests.websocket.client import CLOSE, PING, TEXT, opened, plugged, request, wire
from tests.websocket.site import Site
from tests.websocket.test_asgi import Asked, accept


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One for localhost that nobody signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = (folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return made


@pytest.fixture(params=["uvloop", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])


def tls(certificate: tuple[Path, Path]) -> dict[str, Any]:
    return {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}


async def test_over_tls(kind: str, certificate: tuple[Path, Path]):
    with Site(kind, **tls(certificate)).running() as site:
        context = trusting(certificate)
        async with opened(site.port, tls=context) as client:
            for payload in (b"small", b"*" * 300_000):
                await client.send(wire(payload))
                assert await client.frame() == (TEXT, payload)
            await client.send(*parts([KOSME[:1], KOSME[1:]]))
            assert await client.frame() == (TEXT, KOSME)
            await client.send(wire(b"", 3))
            assert await client.closed() == 1002

        async def steps(scope: Any, receive: Any, send: Any) -> str:
            await accept(receive, send)
            scheme: str = scope["scheme"]
            await receive()
            return scheme

        asked = Asked(site, steps)
        async with opened(site.port, tls=context) as client:
            await client.leave()
            assert await asked.came_to() == "wss"


async def test_a_slow_reader_over_tls_is_waited_for(kind: str, certificate: tuple[Path, Path]):
    with Site(kind, **tls(certificate)).running() as site:
        lanes = []

        async def steps(scope: Any, receive: Any, send: Any) -> None:
            lanes.append(scope["extensions"]["broadcasting.lane"])
            await accept(receive, send)
            for number in range(3_000):
                await send({"type": "websocket.send", "bytes": b"%05d" % number + bytes(10_000)})

        asked = Asked(site, steps)
        async with opened(site.port, tls=trusting(certificate)) as client:
            async with asyncio.timeout(live.PATIENCE):
                while not (lanes and lanes[0].paused):
                    await asyncio.sleep(0.001)  # the server's thread tells nobody
            for number in range(3_000):
                assert (await client.frame())[1][:5] == b"%05d" % number
            await asked.came_to()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_frames_wait_for_an_answer_that_is_not_read(
    kind: str, certificate: tuple[Path, Path], encrypted: bool
):
    """It was given on the same connection before the handshake, and the transport holds it."""
    body, answered, lanes, sent = b"x" * 14_000_000, threading.Event(), [], []

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            size = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": size})
            # Under TLS the first piece goes further than the second, and is not waited for.
            first = body[: len(body) // 2] if encrypted else b""
            await send({"type": "http.response.body", "body": first, "more_body": True})
            await send({"type": "http.response.body", "body": body[len(first) :]})
            answered.set()
            return
        await accept(receive, send)
        lanes.append(scope["extensions"]["broadcasting.lane"])
        for number in range(3_000):
            await send({"type": "websocket.send", "bytes": b"%05d" % number + bytes(10_000)})
            sent.append(number)

    with Site(kind, **(tls(certificate) if encrypted else {})).running() as site:
        site.application = answers
        async with plugged(site.port, trusting(certificate) if encrypted else None) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert await asyncio.to_thread(answered.wait, live.PATIENCE)
            await client.send(request())
            async with asyncio.timeout(live.PATIENCE):
                while not (lanes and lanes[0].paused):
                    await asyncio.sleep(0.001)  # the server's thread tells nobody
            assert len(sent) < 3_000
            await client.head()
            assert await client.reader.readexactly(len(body)) == body
            assert (await client.head())[0].startswith(b"HTTP/1.1 101 ")
            for number in range(3_000):
                assert (await client.frame())[1][:5] == b"%05d" % number


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_socket_that_ends_may_be_told_so_again(
    kind: str, certificate: tuple[Path, Path], encrypted: bool
):
    """It is closed already, and a peer that reads nothing keeps it, when the server ends."""
    told = threading.Event()

    async def ends(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        lane = scope["extensions"]["broadcasting.lane"]
        sending: set[asyncio.Task[None]] = set()
        while not lane.paused:
            message = {"type": "websocket.send", "bytes": bytes(1_000_000)}
            sending.add(asyncio.create_task(send(message)))
            await asyncio.sleep(0)
        lane.fail(1008, "")
        for _ in range(3):
            lane.shutdown()
        told.set()
        await asyncio.gather(*sending, return_exceptions=True)

    with Site(kind, **(tls(certificate) if encrypted else {})).running() as site:
        site.application = ends
        async with plugged(site.port, trusting(certificate) if encrypted else None) as client:
            await client.send(request())
            assert await asyncio.to_thread(told.wait, live.PATIENCE)


async def test_over_h11(kind: str):
    with Site(kind, http="h11").running() as site:
        async with opened(site.port, "/a?b") as client:
            await client.send(wire(b"through h11"))
            assert await client.frame() == (TEXT, b"through h11")
            await client.leave()


async def test_a_library_of_others_is_served(kind: str):
    with Site(kind).running() as site:
        async with connect(f"ws://127.0.0.1:{site.port}", **OPTIONS) as client:
            await client.send("text")
            assert await client.recv() == "text"
            await client.send(b"bytes")
            assert await client.recv() == b"bytes"
            await (await client.ping())
            assert client.protocol.extensions == []


async def test_over_a_unix_socket(kind: str, tmp_path: Path):
    # Paths of sockets end at 107 bytes.
    path = os.path.relpath(tmp_path / "s")
    site = Site(kind, uds=path)
    with site.running():
        async with unix_connect(path, "ws://localhost/", **OPTIONS) as client:
            await client.send("text")
            assert await client.recv() == "text"


async def test_a_root_path_stands_before_the_path(kind: str):
    with Site(kind, root_path="/app", proxy_headers=False).running() as site:

        async def steps(scope: Any, receive: Any, send: Any) -> tuple[Any, ...]:
            await accept(receive, send)
            return scope["root_path"], scope["path"], scope["raw_path"]

        asked = Asked(site, steps)
        async with opened(site.port, "/x%20y"):
            assert await asked.came_to() == ("/app", "/app/x y", b"/app/x%20y")


async def test_uvicorns_headers_are_in_the_answer(kind: str):
    with Site(kind, headers=[("x-served-by", "us")]).running() as site:
        async with connect(f"ws://127.0.0.1:{site.port}", **OPTIONS) as client:
            assert client.response is not None
            assert client.response.headers["x-served-by"] == "us"
            assert client.response.headers["server"] == "uvicorn"


async def test_pings_of_the_servers_own(kind: str):
    options = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.5}
    with Site(kind, **options).running() as site:
        async with opened(site.port) as polite, opened(site.port) as silent:
            for _ in range(3):
                assert await polite.frame() == (PING, b"")
                await polite.send(wire(b"", 0xA))
            while (frame := await silent.frame()) == (PING, b""):
                pass
            assert frame == (CLOSE, b"\x03\xf3keepalive ping timeout")
            await silent.ended()


async def test_no_answer_is_missed_without_a_timeout(kind: str):
    with Site(kind, ws_ping_interval=0.02, ws_ping_timeout=None).running() as site:
        async with opened(site.port) as silent:
            for _ in range(5):
                assert await silent.frame() == (PING, b"")
            await silent.send(wire(b"served"))
            while (frame := await silent.frame()) == (PING, b""):
                pass
            assert frame == (TEXT, b"served")


async def test_the_servers_end_is_1012(kind: str):
    with Site(kind).running() as site:

        async def steps(scope: Any, receive: Any, send: Any) -> Any:
            await accept(receive, send)
            return await receive()

        asked = Asked(site, steps)
        async with opened(site.port) as client:
            site.server.should_exit = True
            assert await client.frame() == (CLOSE, b"\x03\xf4")
            assert (await asked.came_to())["code"] == 1012
            await client.send(wire(b"\x03\xf4", CLOSE))
            assert await client.ended() == b""


async def test_who_is_not_let_in_yet_when_the_server_ends_gets_503(kind: str):
    with Site(kind).running() as site:
        asked_for = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def undecided(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            loop.call_soon_threadsafe(asked_for.set)
            assert (await receive())["type"] == "websocket.disconnect"

        site.application = undecided
        async with plugged(site.port) as client:
            await client.send(request())
            await asked_for.wait()
            site.server.should_exit = True
            assert (await client.head())[0].startswith(b"HTTP/1.1 503 ")
            await client.ended()


APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
"""


async def test_under_plain_uvicorn_without_settings(tmp_path: Path):
    """As its documentation says; nothing of Django is loaded."""
    (tmp_path / "site_of_others.py").write_text(APPLICATION)
    port, log = live.free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--app-dir", str(tmp_path)]
    option = ["--ws", "broadcasting.server.websocket:WebSocketProtocol"]
    process = live.spawn(
        [*command, *option, "site_of_others:app"], {"DJANGO_SETTINGS_MODULE": ""}, log
    )
    try:
        await asyncio.to_thread(live.wait_for_port, port, process, log)
        async with connect(f"ws://127.0.0.1:{port}", **OPTIONS) as client:
            await client.send("text")
            assert await client.recv() == "text"
    finally:
        live.stop(process)


def test_it_imports_without_django():
    code = """
import json, sys
import broadcasting.server.websocket
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = live.run({"DJANGO_SETTINGS_MODULE": ""}, "-c", code)
    assert done.returncode == 0, done.stderr
    assert not {"django", "channels", "msgspec", "redis"} & set(json.loads(done.stdout))


async def test_a_peer_that_says_nothing_is_no_trouble_at_the_end(kind: str):
    with Site(kind).running() as site, socket.create_connection(("127.0.0.1", site.port)):
        async with opened(site.port) as client:
            await client.leave()
