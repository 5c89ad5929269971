"""5.2: pings, pongs and silence. The hasty server pings after 0.4 seconds of silence, and closes
after another 1.2."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.bare import plug, shake_hands, wire
from tests.conformance.peer import Peer, dial, greet, join
from tests.live import PATIENCE, Server

HASTY = "/realtime/app/app-key"


async def test_a_ping_is_answered(server: Server) -> None:
    """26, 27."""
    async with join(server) as peer:
        for rest in ("", ',"data":{}', ',"data":"{}"'):
            await peer.text('{"event":"pusher:ping"' + rest + "}")
            await peer.expect("pusher:pong")


async def test_a_control_ping_is_answered(server: Server) -> None:
    """28."""
    async with join(server) as peer:
        await (await peer.socket.ping(b"payload"))


async def test_an_unasked_pong_is_ignored(server: Server) -> None:
    """34."""
    async with join(server) as peer:
        await peer.send("pusher:pong", {})
        await peer.send("pusher:pong")
        await peer.silence()


async def test_whole_seconds_are_announced(hasty_server: Server) -> None:
    """4: pusher-js takes 0 for an invalid handshake."""
    async with dial(hasty_server, path=HASTY) as peer:
        assert (await greet(peer))["activity_timeout"] == 1


async def test_silence_is_pinged_and_any_answer_is_life(hasty_server: Server) -> None:
    """29, 30, 32, 33: pinged again and again, hearing events all the while."""
    async with join(hasty_server, path=HASTY) as peer:
        await peer.ask("c")
        await peer.expect("pusher_internal:subscription_succeeded", "c")
        for answer in ("pusher:pong", "pusher:pong", "pusher:what"):
            assert await peer.expect("pusher:ping") == "{}"
            await peer.send(answer, {})
        await peer.expect("pusher:error")
        await peer.expect("pusher:ping")


@pytest.mark.parametrize("hasty_server", ["uvicorn"], indirect=True)
async def test_a_native_client_may_know_control_frames_only(hasty_server: Server) -> None:
    """35: having sent one, it is asked by them, again and again. Daphne hides them from us."""
    async with plug(hasty_server) as (reader, writer):
        await shake_hands(reader, writer, HASTY)
        writer.write(wire(b"", 0x9))
        assert await control_frame(reader) == 0xA
        for _ in range(6):
            assert await control_frame(reader) == 0x9
            writer.write(wire(b"", 0xA))
        writer.write(wire(b'{"event":"pusher:ping"}'))
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"pusher:pong")


async def control_frame(reader: asyncio.StreamReader) -> int:
    """Return the opcode of the empty frame that comes next."""
    async with asyncio.timeout(PATIENCE):
        first, length = await reader.readexactly(2)
    assert length == 0
    return first & 0xF


async def test_who_used_control_frames_once_is_closed_if_silent(hasty_server: Server) -> None:
    """31."""
    async with plug(hasty_server) as (reader, writer):
        await shake_hands(reader, writer, HASTY)
        writer.write(wire(b"", 0x9))
        assert await control_frame(reader) == 0xA
        async with asyncio.timeout(PATIENCE):
            rest = await reader.readuntil(b"4201")
        asked = wire(b"", 0x9, masked=False) if hasty_server.lends_lane else b"pusher:ping"
        assert asked in rest


async def test_a_peer_that_stays_silent_is_closed_and_missed(hasty_server: Server) -> None:
    """31, 36."""
    async with join(hasty_server, path=HASTY) as dead, join(hasty_server, path=HASTY) as alive:
        alive.polite = True
        await alive.enter("presence-c", "1")
        await dead.enter("presence-c", "2")
        await alive.expect("pusher_internal:member_added", "presence-c")
        await asyncio.gather(
            alive.expect("pusher_internal:member_removed", "presence-c"), expect_given_up(dead)
        )


async def expect_given_up(peer: Peer) -> None:
    await peer.expect("pusher:ping")
    await peer.expect_refusal(None, 4201)
    assert (await peer.closed())[0] == 4201
