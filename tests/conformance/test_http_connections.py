"""5.12, 6.5: one connection for many requests, however their bytes come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tests.conformance.caller import Caller, ask
from tests.conformance.peer import join
from tests.live import PATIENCE, Server

BODY = b'{"name":"n","channel":"c","data":"{}"}'


def request(
    caller: Caller, body: bytes = BODY, method: str = "POST", resource: str = "events"
) -> bytes:
    """Return the bytes of a signed request."""
    path = caller.path(resource)
    pairs = caller.sign(method, path, body)
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)
    head = f"{method} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@contextlib.asynccontextmanager
async def connected(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of the next answer, by its Content-Length."""
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(length)


async def test_requests_that_were_sent_at_once(server: Server) -> None:
    """176: answered one by one, in their order, whatever each of them is."""
    caller = Caller(server)
    wrong = Caller(server, secret="wrong")
    kinds = [
        (request(caller), 200),
        (request(wrong), 401),
        (request(caller, b"{"), 400),
        (request(caller, b"", "GET", "channels"), 200),
        (request(caller, b"", "PUT"), 405),
        (request(Caller(server, app_id="nobody")), 404),
    ]
    async with join(server) as peer, connected(server) as (reader, writer):
        await peer.subscribe("c")
        writer.write(b"".join(message for message, _ in kinds * 5))
        for _, status in kinds * 5:
            found, body = await answer(reader)
            assert found == status, body
            assert isinstance(json.loads(body), dict)
        for _ in range(5):
            await peer.expect("n", "c")
        await peer.silence()


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_in_small_pieces(server: Server, size: int) -> None:
    """264."""
    message = request(Caller(server))
    async with join(server) as peer, connected(server) as (reader, writer):
        await peer.subscribe("c")
        for start in range(0, len(message), size):
            writer.write(message[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        assert await answer(reader) == (200, b"{}")
        await peer.expect("n", "c")
        # Nothing is left over, and nothing lost.
        writer.write(message)
        assert await answer(reader) == (200, b"{}")
        await peer.expect("n", "c")


async def test_a_body_of_many_chunks(server: Server) -> None:
    """264: however small they are."""
    head, _, body = request(Caller(server)).partition(b"\r\n\r\n")
    head = head.replace(f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked")
    async with join(server) as peer, connected(server) as (reader, writer):
        await peer.subscribe("c")
        writer.write(head + b"\r\n\r\n")
        for number in range(len(body)):
            writer.write(b"1\r\n" + body[number : number + 1] + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert await answer(reader) == (200, b"{}")
        await peer.expect("n", "c")


async def test_batches_on_connections_side_by_side(server: Server) -> None:
    """265: each keeps its order on each channel."""
    caller = Caller(server)

    def publish(who: str) -> None:
        connection = caller.connect()
        path = caller.path("batch_events")
        for batch in range(10):
            events = [
                {"name": who, "channel": f"c-{n % 2}", "data": str(batch * 10 + n)}
                for n in range(10)
            ]
            body = json.dumps({"batch": events}).encode()
            answer = ask(connection, "POST", path, caller.sign("POST", path, body), body)
            assert (answer.status, answer.text) == (200, "{}")
        connection.close()

    async with join(server) as peer:
        await peer.subscribe("c-0")
        await peer.subscribe("c-1")
        publishing = [asyncio.to_thread(publish, who) for who in ("ada", "bob")]
        done = asyncio.gather(*publishing)
        heard: dict[tuple[str, str], list[int]] = defaultdict(list)
        for _ in range(200):
            message = await peer.receive()
            heard[message["event"], message["channel"]].append(int(message["data"]))
        await done
        assert len(heard) == 4
        assert all(numbers == sorted(numbers) for numbers in heard.values())


@pytest.mark.parametrize("resource", ["events", "channels", "users/7/terminate_connections"])
async def test_head_and_methods_that_nothing_takes(server: Server, resource: str) -> None:
    """176: refused without a word too much."""
    caller = Caller(server)
    async with connected(server) as (reader, writer):
        for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            writer.write(request(caller, b"", method, resource))
            if method == "HEAD":
                async with asyncio.timeout(PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                assert b" 405 " in head.partition(b"\r\n")[0]
                assert b"allow: " in head.lower()
            else:
                assert (await answer(reader))[0] == 405
