"""5.3: whatever a peer sends is answered, and at worst its own socket ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.conformance.bare import wire
from tests.conformance.peer import CUT, join
from tests.conformance.publishing import publish
from tests.live import Server

FLOOD = 10_000
LIMIT = 65_536
"""Bytes of one frame of a client, by default."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "hello",
        '{"event":"pusher:ping"} trailing',
        '{"event":NaN}',
        "[" * 5_000,
        "[]",
        '["pusher:ping"]',
        "7",
        "null",
        "true",
        '"pusher:ping"',
        "{}",
        '{"data":{}}',
        '{"event":null}',
        '{"event":7}',
        '{"event":["pusher:ping"]}',
        '{"event":""}',
        '{"event":"pusher:foo"}',
        '{"event":"foo","channel":"c","data":{}}',
        '{"event":"\\ud800"}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":null}',
        '{"event":"pusher:subscribe","data":[]}',
        '{"event":"pusher:subscribe","data":"c"}',
        '{"event":"pusher:subscribe","data":{}}',
        '{"event":"pusher:subscribe","data":{"channel":null}}',
        '{"event":"pusher:subscribe","data":{"channel":7}}',
        '{"event":"pusher:subscribe","data":{"channel":{}}}',
        '{"event":"pusher:subscribe","data":{"channel":"private-c","auth":7}}',
        '{"event":"pusher:subscribe","data":{"channel":"presence-c","channel_data":{}}}',
        '{"event":"pusher:unsubscribe"}',
        '{"event":"pusher:unsubscribe","data":{}}',
        '{"event":"pusher:unsubscribe","data":{"channel":[]}}',
    ],
)
async def test_a_malformed_message_is_answered_in_band(server: Server, text: str) -> None:
    """37, 38, 39, 40, 47: the socket stays usable."""
    async with join(server) as peer:
        await peer.text(text)
        await peer.expect_refusal(None, None)
        await peer.subscribe("c")


async def test_internal_events_are_not_relayed(server: Server) -> None:
    """41."""
    async with join(server) as forger, join(server) as other:
        await forger.enter("presence-forged", "1")
        await other.enter("presence-forged", "2")
        await forger.expect("pusher_internal:member_added", "presence-forged")
        data = '{"user_id":"3"}'
        await forger.send("pusher_internal:member_added", data, channel="presence-forged")
        await forger.expect_refusal(None, None)
        await other.silence()


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b'{"event":"pusher:ping"}'])
async def test_a_binary_frame_ends_its_socket_only(server: Server, content: bytes) -> None:
    """42."""
    async with join(server) as peer, join(server) as other:
        await peer.socket.send(content)
        await peer.expect_refusal(None, None)
        code, _ = await peer.closed()
        # Daphne cannot send 1003: its library takes that code for its own.
        assert code == {"uvicorn": 1003, "daphne": 1011}[server.kind]
        await other.silence()


async def test_a_frame_of_the_limit_passes_and_one_byte_more_ends_the_socket(
    server: Server,
) -> None:
    """43."""
    async with join(server) as peer, join(server) as other:
        frame = '{"event":"pusher:ping","data":"%s"}'
        filler = LIMIT - len(frame % "")
        await peer.text(frame % ("x" * filler))
        await peer.expect("pusher:pong")
        # Bytes, not characters.
        await peer.text(frame % ("é" * (filler // 2)))
        await peer.expect("pusher:pong")
        await peer.text(frame % ("x" * (filler + 1)))
        await peer.expect_refusal(None, None)
        code, _ = await peer.closed()
        assert code == {"uvicorn": 1009, "daphne": 1011}[server.kind]
        await other.silence()


async def test_a_frame_far_beyond_ends_at_the_server(server: Server) -> None:
    """43: what no application would take is not even handed to one."""
    async with join(server) as peer:
        # Its beginning says how long it is. The rest, unread, might cost us the server's answer.
        beginning = bytes([0x81, 0x80 | 127]) + (2_000_000).to_bytes(8, "big") + bytes(4)
        peer.socket.transport.write(beginning)
        assert (await peer.closed())[0] == {"uvicorn": 1009, "daphne": CUT}[server.kind]


async def test_an_application_has_a_limit_of_its_own(server: Server) -> None:
    """43, 220."""
    async with join(server, "small") as peer:
        await peer.text(json.dumps({"event": "pusher:ping", "data": "x" * 1_000}))
        await peer.expect_refusal(None, None)
        await peer.closed()


async def test_fragments_are_one_message(server: Server) -> None:
    """44: with a control frame in between."""
    async with join(server) as peer:
        whole = '{"event":"pusher:subscribe","data":{"channel":"fragmented"}}'

        async def fragments() -> AsyncIterator[str]:
            for start in range(0, len(whole), 7):
                yield whole[start : start + 7]
                await peer.socket.ping()

        await peer.socket.send(fragments())
        await peer.expect("pusher_internal:subscription_succeeded", "fragmented")


async def test_text_that_is_not_utf_8_ends_the_socket(server: Server) -> None:
    """45."""
    async with join(server) as peer, join(server) as other:
        await peer.socket.send(b'{"event":"\xff\xfe"}', text=True)
        assert (await peer.closed())[0] == {"uvicorn": 1007, "daphne": CUT}[server.kind]
        await other.silence()


async def test_data_may_be_a_json_string(server: Server) -> None:
    """46."""
    async with join(server) as peer:
        await peer.send("pusher:subscribe", '{"channel":"c","auth":""}')
        await peer.expect("pusher_internal:subscription_succeeded", "c")
        await peer.send("pusher:unsubscribe", '{"channel":"c"}')
        await publish(server, "c", "late")
        await peer.silence()


async def test_a_flood_of_one_socket_leaves_the_others_served(server: Server) -> None:
    """49: all 10,000 are on their way before the others ask for anything."""
    async with join(server, "unpaced") as flooder, join(server) as other:
        await other.subscribe("calm")
        answered = 0

        async def listen() -> None:
            nonlocal answered
            for _ in range(FLOOD):
                await flooder.expect_refusal(None, None)
                answered += 1

        listening = asyncio.create_task(listen())
        flooder.socket.transport.write(wire(b"{") * FLOOD)
        meanwhile = []
        for _ in range(5):
            await publish(server, "calm", "heard")
            await other.expect("heard", "calm")
            await other.silence()
            meanwhile.append(answered)
        # Whoever had to wait for the whole flood would be served after it.
        assert meanwhile[0] < FLOOD
        await listening
        await flooder.silence()


async def test_what_one_socket_sends_too_fast_waits_and_is_answered(server: Server) -> None:
    """Nothing is lost, and nothing is refused."""
    async with join(server, "paced") as peer:
        for _ in range(520):
            await peer.send("pusher:ping")
        for _ in range(520):
            await peer.expect("pusher:pong")
        await peer.subscribe("c")


@pytest.mark.full
async def test_who_goes_on_sending_too_much_is_told_to_come_back_later(server: Server) -> None:
    """A client waits for a second, and everything begins anew."""
    async with join(server, "paced") as flooder, join(server) as other:
        flooder.socket.transport.write(wire(b"{") * FLOOD)
        while (problem := await flooder.receive())["data"]["code"] is None:
            pass
        assert problem["data"]["code"] == 4100
        assert (await flooder.closed())[0] == 4100
        await other.silence()
