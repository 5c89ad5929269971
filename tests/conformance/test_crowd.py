"""Many sockets that do as they please and end as they please: nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import look_up, publish, terminate
from tests.live import PATIENCE, Server

CHANNELS = ("c", "private-c", "private-encrypted-c", "presence-c", "cache-c", "presence-cache-c")
PEERS, DEEDS = 25, 30


async def live(server: Server, chance: random.Random) -> None:
    """Open a socket, do this and that without looking at the answers, and end it somehow."""
    with contextlib.suppress(ConnectionClosed):
        async with join(server, "right") as peer:
            reading = asyncio.create_task(read(peer))
            for _ in range(DEEDS):
                await act(peer, chance)
                if chance.random() < 0.05:
                    break
            if chance.random() < 0.5:
                peer.socket.transport.abort()
            await peer.socket.close()
            await reading


async def read(peer: Peer) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await peer.socket.recv()


async def act(peer: Peer, chance: random.Random) -> None:
    channel, user_id = chance.choice(CHANNELS), str(chance.randrange(4))
    match chance.randrange(7):
        case 0 | 1:
            data = json.dumps({"user_id": user_id}) if "presence" in channel else None
            await peer.ask_signed(channel, data)
        case 2:
            await peer.send("pusher:unsubscribe", {"channel": channel})
        case 3:
            await peer.ask_signin(json.dumps({"id": user_id, "watchlist": ["0", "1"]}))
        case 4:
            await peer.send("client-x", {}, channel=channel)
        case 5:
            await publish(peer.server, channel, "n", app="right", socket_id=peer.socket_id)
        case _:
            if chance.random() < 0.1:
                await terminate(peer.server, user_id, app="right")


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_stays_of_a_crowd(server: Server, seed: int) -> None:
    """19, 86."""
    chance = random.Random(seed)
    await asyncio.gather(*(live(server, random.Random(chance.random())) for _ in range(PEERS)))
    async with asyncio.timeout(PATIENCE):
        while await look_up(server, "connections", "right") != {"connections": 0}:
            await asyncio.sleep(0.02)  # nobody announces that a server has noticed an end
    assert await look_up(server, "channels", "right") == {"channels": {}}
    log = server.log.read_text()
    assert "could not be" not in log
    async with join(server, "right") as peer:
        assert (await peer.enter("presence-c", "1"))["count"] == 1
