"""uvicorn's HTTP side as ours: what is bounded, and what is answered in one step."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn
from django.test import override_settings
from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from broadcasting.asgi import get_application, quick_answers
from broadcasting.conf import ServerSettings
from broadcasting.protocol.signing import request_text, sign
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server.http import HttpProtocol
from broadcasting.server.node import get_node
from broadcasting.server.serve import configuration
from broadcasting.typing import Receive, Scope, Send
from tests.conformance.caller import md5_of
from tests.conformance.peer import OPTIONS
from tests.live import PATIENCE
from tests.settings import BROADCASTING

MAX_HEAD = ServerSettings().max_head_bytes
BODY = b'{"name":"n","channel":"c","data":"{}"}'
EVENT = {"name": "n", "channel": "c", "data": "{}"}
INFO = {"info": "subscription_count"}
KEEP = b"connection: keep-alive\r\n"


class Site:
    """What is behind: it says what it was asked, once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.headers: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers.append(scope["headers"])
        await self.may.wait()
        headers = [(b"content-length", str(len(scope["path"])).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


class Server:
    """A port whose connections are ours, in this very loop."""

    def __init__(self, port: int, config: uvicorn.Config, state: ServerState, site: Site) -> None:
        self.port = port
        self.config = config
        self.state = state
        self.site = site

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class Peer:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def ended(self) -> bytes:
        """Return what comes until the server hangs up."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:  # it did so while we were still sending
                return b""


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    server = {"HANDSHAKE_TIMEOUT": 0.2}
    with override_settings(BROADCASTING=BROADCASTING | {"SERVER": server}):
        yield


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    site = Site()
    application = get_application(site)
    config = configuration(
        application,
        drain_seconds=1,
        log_level="critical",
        quick=quick_answers(application),
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: config.http_protocol_class(config, state, {}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    try:
        yield Server(listening.sockets[0].getsockname()[1], config, state, site)
    finally:
        listening.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        await get_node().stop()


def request(path: str = "/", method: bytes = b"GET", headers: bytes = KEEP) -> bytes:
    return method + b" " + path.encode() + b" HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n"


def signed(
    body: bytes = BODY, headers: bytes = KEEP, method: str = "POST", app_id: str = "app"
) -> bytes:
    """An event, or what else ``/events`` does not take."""
    parameters = {
        "auth_key": "app-key",
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": md5_of(body),
    }
    text = request_text(method, f"/apps/{app_id}/events", parameters)
    parameters["auth_signature"] = sign("app-secret", text)
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    length = f"content-length: {len(body)}\r\n".encode()
    return request(f"/apps/{app_id}/events?{query}", method.encode(), headers + length) + body


# -- bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n\r\n",
        b"G",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        b"GET /app/app-key HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
        signed()[:-200],
    ],
)
async def test_a_head_that_does_not_end(server: Server, head: bytes) -> None:
    """A slow WebSocket handshake begins as HTTP, and ends so as well."""
    async with server.connect() as peer:
        peer.send(head)
        assert await peer.ended() == b""
    assert get_node().counters.heads_too_slow == 1


async def test_bytes_now_and_then_are_no_excuse(server: Server) -> None:
    async with server.connect() as peer:
        ended = asyncio.ensure_future(peer.ended())
        peer.send(request()[:-2])
        while not ended.done():
            peer.send(b"x-more: 1\r\n")
            await asyncio.wait([ended], timeout=0.02)
        assert await ended == b""
    assert get_node().counters.heads_too_slow == 1


async def test_the_second_request_of_a_connection_has_its_own_time(server: Server) -> None:
    async with server.connect() as peer:
        peer.send(signed())
        assert await peer.answer() == (200, b"{}")
        peer.send(request("/a"))
        assert await peer.answer() == (200, b"/a")
        peer.send(request("/b")[:-2])
        assert await peer.ended() == b""
    assert get_node().counters.heads_too_slow == 1


@pytest.mark.parametrize(
    "head",
    [
        request("/" + "x" * MAX_HEAD),
        request("/" + "x" * MAX_HEAD)[:-2],
        request("/apps/app/events?" + "x" * MAX_HEAD),
        request("/apps/app/events?" + "x" * 70_000),
        request(headers=b"x-long: " + b"x" * MAX_HEAD + b"\r\n"),
        request(headers=b"x-long: " + b"x" * 500_000),
        request(headers=b"a: b\r\n" * 3_000),
        request(headers=b"a: b\r\n" * 300_000),
        b"GET /" + b"x" * 500_000,
    ],
)
async def test_a_head_that_is_too_large(server: Server, head: bytes) -> None:
    async with server.connect() as peer:
        peer.send(head)
        answer = await peer.ended()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert get_node().counters.heads_too_large == 1


async def test_431_is_said_where_it_can_be_heard(server: Server) -> None:
    async with server.connect() as peer:
        peer.send(request("/" + "x" * MAX_HEAD))
        assert (await peer.answer())[0] == 431
        assert await peer.ended() == b""


async def test_a_head_of_nearly_that_size_is_fine(server: Server) -> None:
    path = "/" + "x" * 15_000
    async with server.connect() as peer:
        # In pieces too, and a body does not count.
        for _ in range(3):
            peer.send(request(path))
            assert await peer.answer() == (200, path.encode())
        peer.send(request("/a", b"POST", b"content-length: 100000\r\n") + b"x" * 100_000)
        assert await peer.answer() == (200, b"/a")
    assert get_node().counters.heads_too_large == 0


async def test_a_slow_body_and_a_slow_answer_have_all_the_time(server: Server) -> None:
    """264."""
    async with server.connect() as peer, server.connect() as silent, server.connect() as other:
        message = signed()
        peer.send(message[:-5])
        server.site.may.clear()
        other.send(request("/slow") + request("/half")[:-2])
        await silent.ended()  # by now their time would be over, too
        peer.send(message[-5:])
        assert await peer.answer() == (200, b"{}")
        server.site.may.set()
        assert await other.answer() == (200, b"/slow")


async def test_idle_connections_end_by_uvicorns_own_rule(server: Server) -> None:
    server.config.timeout_keep_alive = 0.05  # type: ignore[assignment]
    for message in (signed(), request("/a")):
        for more in (b"", b"\r\n"):
            async with server.connect() as peer:
                peer.send(message)
                assert (await peer.answer())[0] == 200
                peer.send(more)
                assert await peer.ended() == b""
    assert get_node().counters.heads_too_slow == 0


async def test_a_socket_is_not_bound_by_any_of_this(server: Server) -> None:
    server.config.timeout_keep_alive = 0.05  # type: ignore[assignment]
    url = f"ws://127.0.0.1:{server.port}/app/app-key"
    async with connect(url, **OPTIONS) as socket, server.connect() as silent:
        assert "connection_established" in str(await socket.recv())
        await silent.ended()
        await socket.send('{"event":"pusher:ping"}')
        assert "pong" in str(await socket.recv())


@pytest.mark.parametrize("cut", [*range(1, 12), 40, 200, 350])
@pytest.mark.parametrize("padding", [0, 9_000, MAX_HEAD, 40_000, 100_000])
async def test_what_came_before_a_head_is_not_counted(
    server: Server, padding: int, cut: int
) -> None:
    """176: each of many requests is answered, wherever the network cuts them."""
    bodies = [
        json.dumps({**EVENT, "channel": f"c{n}", "pad": "p" * padding, **INFO}).encode()
        for n in range(4)
    ]
    messages = [signed(body) for body in bodies]
    for last in (1, 2, 3):
        ahead = b"".join(messages[:last]) + messages[last][:cut]
        behind = messages[last][cut:] + b"".join(messages[last + 1 :])
        async with server.connect() as peer:
            peer.send(ahead)
            for n in range(last):
                assert (await peer.answer())[1] == _told(f"c{n}")
            peer.send(behind)
            for n in range(last, 4):
                assert (await peer.answer())[1] == _told(f"c{n}")
    assert get_node().counters.heads_too_large == 0


def _told(channel: str) -> bytes:
    return b'{"channels":{"%s":{"subscription_count":0}}}' % channel.encode()


async def test_line_breaks_between_requests_do_not_add_up(server: Server) -> None:
    async with server.connect() as peer:
        for _ in range(5):
            peer.send(b"\r\n" * 2_000)
            peer.send(signed())
            assert await peer.answer() == (200, b"{}")


CHUNKED = request("/a", b"POST", b"transfer-encoding: chunked\r\n")


@pytest.mark.parametrize(
    "endless",
    [
        b"1\r\nx\r\n0\r\n" + b"x-trailer: y\r\n" * 200_000,
        b"1\r\nx\r\n0\r\nx-trailer: " + b"y" * 3_000_000,
        b"1;" + b"y" * 3_000_000,
    ],
)
async def test_what_is_no_body_does_not_go_on_for_ever(server: Server, endless: bytes) -> None:
    server.site.may.clear()
    async with server.connect() as peer:
        peer.send(CHUNKED + endless)
        assert await peer.ended() == b""
    assert get_node().counters.heads_too_large == 1


async def test_trailers_have_their_time(server: Server) -> None:
    server.site.may.clear()
    async with server.connect() as peer:
        ended = asyncio.ensure_future(peer.ended())
        peer.send(CHUNKED + b"1\r\nx\r\n0\r\n")
        while not ended.done():
            peer.send(b"x-more: 1\r\n")
            await asyncio.wait([ended], timeout=0.02)
        assert await ended == b""
    assert get_node().counters.heads_too_slow == 1


async def test_trailers_are_not_headers(server: Server) -> None:
    async with server.connect() as peer:
        peer.send(CHUNKED + b"1\r\nx\r\n0\r\nx-late: 1\r\n")
        peer.send(b"x-later: 1\r\n\r\n" + request("/b"))
        assert await peer.answer() == (200, b"/a")
        assert await peer.answer() == (200, b"/b")
    names = {name for headers in server.site.headers for name, _ in headers}
    assert names == {b"host", b"connection", b"transfer-encoding"}


async def test_the_rest_of_an_answered_request_may_not_take_for_ever(server: Server) -> None:
    server.config.timeout_keep_alive = 0.05  # type: ignore[assignment]
    async with server.connect() as peer:
        peer.send(request("/a", b"POST", b"content-length: 9\r\n"))
        assert await peer.answer() == (200, b"/a")
        peer.send(b"x")
        assert await peer.ended() == b""


# -- one step --------------------------------------------------------------------------------


async def test_many_requests_at_once_are_answered_in_their_order(server: Server) -> None:
    """176, 265: whoever answers them."""
    kinds = [
        (signed(), (200, b"{}")),
        (request("/a"), (200, b"/a")),
        (signed(b"{"), (400, None)),
        (signed(headers=b"x: y\r\n"), (200, b"{}")),
        (request("/b", b"POST", b"content-length: 3\r\n") + b"abc", (200, b"/b")),
    ]
    async with server.connect() as peer:
        for _ in range(3):
            for together in (True, False):
                if together:
                    peer.send(b"".join(message for message, _ in kinds))
                for message, (status, body) in kinds:
                    if not together:
                        peer.send(message)
                    answer = await peer.answer()
                    assert answer[0] == status, answer
                    assert body is None or answer[1] == body


async def test_a_slow_page_is_not_overtaken(server: Server) -> None:
    """176."""
    async with server.connect() as peer, server.connect() as other:
        server.site.may.clear()
        peer.send(request("/slow"))
        other.send(signed())
        assert await other.answer() == (200, b"{}")  # so the page has been asked for
        peer.send(signed())
        other.send(signed())
        assert await other.answer() == (200, b"{}")
        server.site.may.set()
        assert await peer.answer() == (200, b"/slow")
        assert await peer.answer() == (200, b"{}")


@pytest.mark.parametrize(
    "headers",
    [
        b"connection: close\r\n",
        b"expect: 100-continue\r\n",
        b"transfer-encoding: chunked\r\n",
        b"upgrade: h2c\r\n",
    ],
)
async def test_unusual_requests_are_uvicorns(server: Server, headers: bytes) -> None:
    message = signed(headers=headers)
    if b"chunked" in headers:
        length = f"content-length: {len(BODY)}\r\n".encode()
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        message = message.replace(length, b"").removesuffix(BODY) + chunks
    async with server.connect() as peer:
        peer.send(message)
        if b"100" in headers:
            async with asyncio.timeout(PATIENCE):
                assert b" 100 " in await peer.reader.readuntil(b"\r\n\r\n")
        assert await peer.answer() == (200, b"{}")
        if b"close" in headers:
            assert await peer.ended() == b""


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_other_methods(server: Server, method: str) -> None:
    async with server.connect() as peer:
        for _ in range(2):
            peer.send(signed(method=method))
            status, body = await peer.answer()
            assert (status, json.loads(body)["code"]) == (405, 405)


async def test_head_has_no_body(server: Server) -> None:
    async with server.connect() as peer:
        peer.send(request("/apps/app/events", b"HEAD") + signed())
        async with asyncio.timeout(PATIENCE):
            assert b" 405 " in await peer.reader.readuntil(b"\r\n\r\n")
        assert await peer.answer() == (200, b"{}")


@pytest.mark.parametrize("mistake", ["raises", "waits"])
async def test_a_mistake_of_ours_is_500(
    server: Server, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def occupancy(*args: Any) -> Any:
        if mistake == "waits":
            await asyncio.sleep(0)
        raise ZeroDivisionError

    monkeypatch.setattr(MemoryRegistry, "occupancy", occupancy)
    async with server.connect() as peer:
        peer.send(signed(b'{"name":"n","channel":"c","data":"","info":"subscription_count"}'))
        status, body = await peer.answer()
        assert status == 500
        assert body == b"" or json.loads(body)["code"] == 500
        peer.send(signed())
        assert await peer.answer() == (200, b"{}")


HANDSHAKE = request(
    "/app/app-key?protocol=7",
    headers=b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
)
PING = b"\x89\x85\0\0\0\0early"


@pytest.mark.parametrize("cut", [10, len(HANDSHAKE), len(HANDSHAKE) + 3, len(HANDSHAKE + PING)])
async def test_frames_behind_a_handshake_are_not_lost(server: Server, cut: int):
    """Not even those that come in one read with it."""
    async with server.connect() as peer:
        peer.send((HANDSHAKE + PING)[:cut])
        await asyncio.sleep(0)
        peer.send((HANDSHAKE + PING)[cut:])
        async with asyncio.timeout(PATIENCE):
            await peer.reader.readuntil(b"\x8a\x05early")


async def test_a_handshake_does_not_run_into_an_answer(server: Server):
    server.site.may.clear()
    async with server.connect() as peer:
        peer.send(request() + HANDSHAKE)
        assert await peer.ended() == b""
    server.site.may.set()


async def test_a_handshake_of_http_1_0_is_none(server: Server):
    async with server.connect() as peer:
        peer.send(HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await peer.ended()).startswith(b"HTTP/1.1 400 ")


async def test_a_handshake_leaves_nothing_of_its_http_behind(server: Server):
    """Though the garbage collector does not come."""

    def alive() -> int:
        return sum(isinstance(thing, HttpProtocol) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        for earlier in (b"", request()):
            async with server.connect() as peer:
                peer.send(earlier)
                if earlier:
                    await peer.answer()
                peer.send(HANDSHAKE)
                async with asyncio.timeout(PATIENCE):
                    await peer.reader.readuntil(b"connection_established")
                assert alive() == before
    finally:
        gc.enable()
