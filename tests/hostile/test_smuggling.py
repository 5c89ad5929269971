"""Requests that two servers could read in two ways: ours reads them in one, or not at all."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.conformance.bare import HANDSHAKE, plug, shake_hands, wire
from tests.conformance.test_garbage import until_the_end
from tests.live import PATIENCE, Server

POST = b"POST /apps/app/events HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"GET /apps/app/channels HTTP/1.1\r\nHost: x\r\n\r\n"
"""What must not be answered where it was hidden in another request."""

LENGTH = b"Content-Length: 4\r\n"

REQUESTS = {
    "two lengths": POST + LENGTH + b"Content-Length: 0\r\n\r\n",
    "one length, twice": POST + LENGTH * 2 + b"\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a length below zero": POST + b"Content-Length: -1\r\n\r\n",
    "a length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a length and chunks": POST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a chunk without a size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a bare LF in a chunk's line": POST + b"Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
    "a folded header": POST + b"X: a\r\n Content-Length: 4\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "bare LFs": POST.replace(b"\r\n", b"\n") + b"Content-Length: 4\n\nabcd",
    "a bare CR": POST + b"X: a\r" + LENGTH + b"\r\n",
    "a NUL": POST + b"X: a\0b\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

HOST = b"Host: 127.0.0.1\r\n"
ORIGINS = b"Origin: https://app.test\r\nOrigin: https://evil.test\r\n"

HANDSHAKES = {
    "two Hosts": (HANDSHAKE.replace(HOST, HOST * 2), 400),
    "no Host": (HANDSHAKE.replace(HOST, b""), 400),
    "two Origins": (HANDSHAKE.replace(HOST, HOST + ORIGINS), 400),
    "two keys": (HANDSHAKE[:-2] + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAQ==\r\n\r\n", 400),
    "two versions": (HANDSHAKE[:-2] + b"Sec-WebSocket-Version: 8\r\n\r\n", 400),
    "a body": (HANDSHAKE[:-2] + b"Content-Length: 5\r\n\r\nhello", 400),
    "a body in chunks": (HANDSHAKE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    "a folded Upgrade": (HANDSHAKE.replace(b": websocket", b":\r\n websocket"), 400),
    "bare LFs": (HANDSHAKE.replace(b"\r\n", b"\n"), 400),
    "POST": (HANDSHAKE.replace(b"GET", b"POST"), 405),
    "another Upgrade as well": (HANDSHAKE[:-2] + b"Upgrade: h2c\r\n\r\n", 404),
    "the URL of another host": (HANDSHAKE.replace(b"/app/", b"http://evil.test/app/", 1), 404),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_an_ambiguous_request_is_400_and_the_end(target: Server, what: str) -> None:
    answers = await everything(target, REQUESTS[what] + HIDDEN)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("what", HANDSHAKES)
async def test_an_ambiguous_handshake_opens_nothing(target: Server, what: str) -> None:
    request, status = HANDSHAKES[what]
    async with plug(target) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_a_request_behind_a_handshake_is_no_request(target: Server) -> None:
    answers = await everything(target, HANDSHAKE + HIDDEN)
    assert answers.startswith(b"HTTP/1.1 101 ")
    assert answers.count(b"HTTP/1.1") == 1
    assert b"\x03\xea" in answers  # 1002


async def test_compression_is_not_agreed_to_and_what_is_compressed_ends_its_socket(
    target: Server,
) -> None:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    async with plug(target) as (reader, writer):
        writer.write(HANDSHAKE[:-2] + offer)
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"extensions" not in head.lower()
            bomb = wire(b"\xec\xc1" + bytes(1_000))
            writer.write(bytes([bomb[0] | 0x40]) + bomb[1:])
            rest = await reader.read()
    assert b"\x88" in rest
    assert b"\x03\xea" in rest  # 1002


async def test_a_body_that_says_it_is_compressed_is_not_inflated(target: Server) -> None:
    async with plug(target) as (reader, writer):
        writer.write(POST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")


async def test_a_flood_of_control_frames_is_answered_and_others_are_served(target: Server) -> None:
    async with plug(target) as (reader, writer), plug(target) as (other_reader, other):
        await shake_hands(reader, writer)
        writer.write(wire(b"x" * 125, 0x9) * 2_000 + wire(b"", 0x8))
        await shake_hands(other_reader, other)
        other.write(wire(b'{"event":"pusher:ping"}'))
        async with asyncio.timeout(PATIENCE):
            await other_reader.readuntil(b"pusher:pong")
        await until_the_end(reader)


async def everything(server: Server, said: bytes) -> bytes:
    """Return all that comes until the server ends the connection."""
    received = b""
    async with plug(server) as (reader, writer):
        writer.write(said)
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(65_536):
                    received += part
    return received
