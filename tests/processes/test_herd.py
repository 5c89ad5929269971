"""2,000 real sockets come to one server at once, into presence channels."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from tests import live
from tests.conformance.peer import Peer, join

ROOMS = 20
USERS = 50
"""In each room, with two sockets each."""

AT_ONCE = 100
"""Handshakes under way: more would only wait for the kernel's backlog."""


async def watch(peer: Peer, room: str, users: int) -> list[str]:
    """Read until ``users`` members are known, and return them; fail for whoever comes twice."""
    snapshot = json.loads(await peer.expect("pusher_internal:subscription_succeeded", room))
    members: list[str] = snapshot["presence"]["ids"]
    while len(members) < users:
        added = json.loads(await peer.expect("pusher_internal:member_added", room))
        assert added["user_id"] not in members
        members.append(added["user_id"])
    await peer.silence()
    return members


async def watch_going(peer: Peer, room: str, users: int) -> set[str]:
    """Read until ``users`` members are gone, and return them."""
    gone = set[str]()
    while len(gone) < users:
        removed = json.loads(await peer.expect("pusher_internal:member_removed", room))
        assert removed["user_id"] not in gone
        gone.add(removed["user_id"])
    await peer.silence()
    return gone


@pytest.mark.full
@pytest.mark.parametrize("server", ["uvicorn"], indirect=True)
async def test_everybody_of_a_herd_knows_who_is_there(server: live.Server) -> None:
    rooms = [f"presence-{uuid4().hex}" for _ in range(ROOMS)]
    wishes = [(room, str(user)) for user in range(USERS) for room in rooms for _ in range(2)]
    async with AsyncExitStack() as stack:
        gate = asyncio.Semaphore(AT_ONCE)

        async def connect() -> Peer:
            async with gate:
                return await stack.enter_async_context(join(server))

        peers = await asyncio.gather(*(connect() for _ in wishes))
        crowd = [(peer, room, user) for peer, (room, user) in zip(peers, wishes, strict=True)]
        await asyncio.gather(
            *(peer.ask_signed(room, json.dumps({"user_id": user})) for peer, room, user in crowd)
        )
        seen = await asyncio.gather(*(watch(peer, room, USERS) for peer, room, _ in crowd))
        everybody = sorted(str(user) for user in range(USERS))
        assert all(sorted(members) == everybody for members in seen)

        odd = {str(user) for user in range(1, USERS, 2)}
        for peer, _, user in crowd:
            if user in odd:
                peer.socket.transport.abort()
        left = [watch_going(peer, room, len(odd)) for peer, room, user in crowd if user not in odd]
        assert all(gone == odd for gone in await asyncio.gather(*left))
        await asyncio.gather(*(peer.socket.close() for peer in peers))
