"""The Autobahn testsuite's cases against the class, as its numbers name them.

The testsuite has numbers of its own for cases that are sent frame by frame or octet by octet
(1.1.8, 2.6, 2.11, 5.4, 5.5, 5.7, 5.8, 5.10, 5.11, 5.13, 5.14, 5.20). Here each case is sent in one
piece, by frames, and by octets.
"""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.websocket.cases import CASES, FAIL_FAST, KOSME, NOTHING, Case, octets, parts
from tests.websocket.client import BINARY, CLOSE, PING, PONG, TEXT, opened, wire, xor
from tests.websocket.site import Site

SHORT = 400
"""Bytes of a case up to which it is also sent octet by octet."""


def chops(case: Case) -> list[list[bytes]]:
    whole = b"".join(case.frames)
    if case.name.startswith("7.1."):
        # Who goes on behind its own close runs into the end of the connection, and may lose by it
        # what was on its way: of a large message that is even likely.
        return [[whole]] if len(whole) > SHORT else [[whole], list(case.frames)]
    some = [whole[at : at + 997] for at in range(0, len(whole), 997)]
    return [[whole], list(case.frames), octets(whole) if len(whole) <= SHORT else some]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_case(site: Site, case: Case):
    for pieces in chops(case):
        async with opened(site.port) as client:
            sending = asyncio.create_task(client.send(*pieces))
            for answer in case.answers:
                assert await client.frame() == answer
            if case.code is None:
                await sending
                await client.leave()
            else:
                code = await client.closed()
                assert (NOTHING if code is None else code) == case.code
            sending.cancel()


@pytest.mark.parametrize("name", ["6.4.1", "6.4.2"])
async def test_a_text_fails_at_its_first_frame_that_cannot_be(site: Site, name: str):
    good, bad = FAIL_FAST[name]
    assert bad is not None
    async with opened(site.port) as client:
        await client.send(good, wire(b"fine?", PING))
        assert await client.frame() == (PONG, b"fine?")
        await client.send(bad)
        assert await client.closed() == 1007


@pytest.mark.parametrize("ways", [[11, 13], [*range(1, 14)]], ids=["6.4.3", "6.4.4"])
async def test_a_text_fails_at_its_first_octet_that_cannot_be(site: Site, ways: list[int]):
    """The frame, of 100 octets, is far from whole."""
    text = (KOSME + b"\xf4\x90").ljust(100, b"*")
    frame = wire(text)
    async with opened(site.port) as client:
        await client.send(frame[: 6 + ways[0]])
        for start, end in itertools.pairwise(ways):
            await client.send(frame[6 + start : 6 + end])
        assert await client.closed() == 1007


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.1", "9.2"])
@pytest.mark.parametrize("size", [65_536, 262_144, 1 << 20, 4 << 20, 8 << 20, 16 << 20])
async def test_large_messages(site: Site, opcode: int, size: int):
    payload = b"*" * size
    async with opened(site.port) as client:
        await client.send(wire(payload, opcode))
        assert await client.frame() == (opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.3", "9.4"])
@pytest.mark.parametrize("size", [64, 1 << 10, 16 << 10, 256 << 10, 4 << 20])
async def test_large_messages_in_fragments(site: Site, opcode: int, size: int):
    payload = b"*" * (4 << 20)
    pieces = parts([payload[at : at + size] for at in range(0, len(payload), size)], opcode)
    async with opened(site.port) as client:
        await client.send(b"".join(pieces))
        assert await client.frame() == (opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.5", "9.6"])
@pytest.mark.parametrize("size", [64, 256, 1024, 2048])
async def test_large_messages_in_chops(site: Site, opcode: int, size: int):
    payload = b"*" * (1 << 20)
    whole = wire(payload, opcode)
    async with opened(site.port) as client:
        await client.send(*(whole[at : at + size] for at in range(0, len(whole), size)))
        assert await client.frame() == (opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.7", "9.8"])
@pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
async def test_many_messages(site: Site, opcode: int, size: int):
    payload = b"*" * size
    frame = wire(payload, opcode)
    async with opened(site.port) as client:
        for _ in range(100):
            await client.send(frame)
            assert await client.frame() == (opcode, payload)
        sending = asyncio.create_task(client.send(*[frame] * 900))
        for _ in range(900):
            assert await client.frame() == (opcode, payload)
        await sending


async def test_a_frame_without_a_mask_is_refused(site: Site):
    async with opened(site.port) as client:
        await client.send(wire(b"bare", masked=False))
        assert await client.closed() == 1002


@pytest.mark.parametrize(
    "length",
    [
        bytes([0x80 | 126, 0, 125]),
        bytes([0x80 | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        bytes([0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ],
    ids=["125 in 2 bytes", "65535 in 8 bytes", "64 bits"],
)
async def test_a_length_has_one_way_to_be_written(site: Site, length: bytes):
    async with opened(site.port) as client:
        await client.send(bytes([0x82]) + length + bytes(4))
        assert await client.closed() == 1002


@pytest.mark.parametrize("over", [0, 1])
async def test_the_largest_message_and_one_byte_more(site: Site, over: int):
    """Over all of its frames; one that is too large is refused by its head."""
    async with opened(site.port) as client:
        half = b"*" * (8 << 20)
        await client.send(wire(half, fin=False))
        if over:
            await client.send(wire(half + b"*", 0)[:14])
            assert await client.closed() == 1009
        else:
            await client.send(wire(half, 0))
            assert await client.frame() == (TEXT, half + half)


async def test_a_mask_goes_on_over_any_cut(site: Site):
    payload, mask = bytes(range(256)) * 4, b"\x01\x02\x03\x04"
    whole = bytes([0x82, 0x80 | 126]) + (1024).to_bytes(2, "big") + mask + xor(payload, mask)
    async with opened(site.port) as client:
        for at in (8, 9, 10, 11, 13, 500):
            await client.send(whole[:at], whole[at : at + 3], whole[at + 3 :])
            assert await client.frame() == (BINARY, payload)


async def test_nothing_comes_behind_the_close(site: Site):
    async with opened(site.port) as client:
        await client.send(wire(b"a"), wire(b"\x03\xe8", CLOSE), wire(b"b"))
        assert await client.frame() == (TEXT, b"a")
        assert await client.closed() == 1000
