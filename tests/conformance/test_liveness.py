"""5.2: pings, pongs and silence. The hasty server pings after 0.4 seconds of silence, and closes
after another 1.2."""

from __future__ import annotations

import asyncio

from tests.conformance.peer import Peer, dial, greet, join
from tests.live import Server

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
