"""The opening handshake, by RFC 6455 section 4.2.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from uvicorn.server import ServerState

from broadcasting.server import upgrade
from broadcasting.server.websocket import MAX_HEAD, WebSocketProtocol
from tests.websocket.client import ACCEPT, KEY, opened, plugged, request, wire
from tests.websocket.site import Site

HEAD = request()[:-4]


def status(head: bytes) -> int:
    with pytest.raises(upgrade.Refused) as refused:
        upgrade.read(head)
    answer = refused.value.answer
    assert b"\r\nconnection: close\r\n" in answer
    return int(answer.split(b" ")[1])


def test_a_good_request():
    read = upgrade.read(request("/a%20b?c=d", b"Sec-WebSocket-Protocol: x, y", b"X-Y:  z ")[:-4])
    assert read.target == "/a%20b?c=d"
    assert read.accept == ACCEPT
    assert read.subprotocols == ["x", "y"]
    assert read.headers[-1] == (b"x-y", b"z")
    assert upgrade.accept_for(KEY) == ACCEPT


@pytest.mark.parametrize(
    "header",
    [
        b"Connection: keep-alive, UPGRADE",
        b"Upgrade: WebSocket",
        b"Upgrade: h2c, websocket",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ],
)
def test_words_are_found_however_they_are_written(header: bytes):
    read = upgrade.read(request("/", header)[:-4])
    assert b"extensions" not in upgrade.switching(read.accept, None, []).lower()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (request(method=b"POST")[:-4], 405),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (HEAD.replace(b"Host: 127.0.0.1\r\n", b""), 400),
        (HEAD + b"\r\nHost: another", 400),
        (request("/", b"Connection: keep-alive")[:-4], 400),
        (request("/", b"Upgrade: h2c")[:-4], 426),
        (request("/", b"Sec-WebSocket-Version: 12")[:-4], 426),
        (HEAD.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 400),
        (request("/", b"Sec-WebSocket-Key: short")[:-4], 400),
        (request("/", b"Sec-WebSocket-Key: ####")[:-4], 400),
        (HEAD + b"\r\nSec-WebSocket-Key: " + KEY, 400),
        (HEAD.replace(b"Sec-WebSocket-Key: " + KEY, b"X: y"), 400),
        (HEAD + b"\r\nno colon", 400),
        (HEAD + b"\r\nbad name: x", 400),
        (HEAD.replace(b"GET /", b"GET /\xff"), 400),
        (b"", 405),
    ],
)
def test_what_is_no_handshake_is_refused(head: bytes, expected: int):
    assert status(head) == expected


def test_what_must_be_said_with_a_refusal():
    with pytest.raises(upgrade.Refused) as refused:
        upgrade.read(request("/", b"Sec-WebSocket-Version: 8")[:-4])
    assert b"\r\nsec-websocket-version: 13\r\n" in refused.value.answer
    with pytest.raises(upgrade.Refused) as refused:
        upgrade.read(request(method=b"PUT")[:-4])
    assert b"\r\nallow: GET\r\n" in refused.value.answer


def test_a_status_without_a_name_has_none():
    assert upgrade.response(299, [], b"").startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x\r\n", b""), (b"", b"")])
def test_a_header_cannot_end_early(header: tuple[bytes, bytes]):
    with pytest.raises(ValueError, match="would break"):
        upgrade.switching(ACCEPT, None, [header])
    with pytest.raises(ValueError, match="would break"):
        upgrade.response(403, [header], b"")
    with pytest.raises(ValueError, match="would break"):
        upgrade.switching(ACCEPT, "a\r\nb: c", [])


@pytest.fixture
async def bare(site: Site) -> AsyncIterator[int]:
    """The port of a server of the class alone, without an HTTP side before it."""
    state, loop = ServerState(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: WebSocketProtocol(site.config, state, {}), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1]
    server.close()
    for connection in tuple(state.connections):
        connection.shutdown()
        connection.transport.abort()
    await asyncio.gather(*state.tasks)


@pytest.mark.parametrize("size", [1, 5, 1_000])
async def test_a_request_may_come_in_pieces(bare: int, size: int):
    """And the first frames with it."""
    async with plugged(bare) as client:
        whole = request() + wire(b"after")
        await client.send(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert (await client.head())[0].startswith(b"HTTP/1.1 101 ")
        assert await client.frame() == (1, b"after")


@pytest.mark.parametrize("ends", [b"", b"\r\n\r\n"])
async def test_a_request_has_an_end(bare: int, ends: bytes):
    async with plugged(bare) as client:
        await client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + ends)
        assert (await client.head())[0].startswith(b"HTTP/1.1 431 ")
        await client.ended()


async def test_a_server_may_end_before_a_request_does(bare: int):
    async with plugged(bare) as client:
        await client.send(b"GET / HT")


async def test_a_wrong_version_is_told_the_right_one(site: Site):
    async with plugged(site.port) as client:
        await client.send(request("/", b"Sec-WebSocket-Version: 14"))
        line, headers = await client.head()
        assert line == b"HTTP/1.1 426 Upgrade Required"
        assert headers[b"sec-websocket-version"] == b"13"
        assert await client.ended() == b"The version of WebSocket here is 13\n"


async def test_compression_is_declined(site: Site):
    offered = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with plugged(site.port) as client:
        await client.send(request("/", offered))
        line, headers = await client.head()
        assert line.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in headers


async def test_many_come_and_go(site: Site):
    for _ in range(50):
        async with opened(site.port) as client:
            await client.leave()
    assert not [c for c in site.server.server_state.connections if hasattr(c, "close_sent")]
