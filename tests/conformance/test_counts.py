"""5.11: how many connections a channel has, for applications that want to know."""

from __future__ import annotations

import asyncio
import contextlib
import json

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import publish
from tests.live import Server

COUNT = "pusher_internal:subscription_count"
CHANNEL = "counted"
MANY = 120


async def expect_count(peer: Peer, count: int, channel: str = CHANNEL) -> None:
    data = await peer.expect(COUNT, channel)
    assert isinstance(data, str)
    assert json.loads(data) == {"subscription_count": count}


async def test_who_comes_and_goes_is_counted(server: Server) -> None:
    """160, 161."""
    async with join(server, "left") as ada, join(server, "left") as bob:
        await ada.subscribe(CHANNEL)
        await expect_count(ada, 1)
        await bob.subscribe(CHANNEL)
        await expect_count(bob, 2)
        await expect_count(ada, 2)
        await bob.subscribe(CHANNEL)  # again, which changes nothing
        await bob.leave(CHANNEL)
        await expect_count(ada, 1)
        await ada.silence()


async def test_a_cut_connection_is_counted_too(server: Server) -> None:
    """161."""
    async with join(server, "left") as ada, join(server, "left") as bob:
        for count, peer in enumerate((ada, bob), 1):
            await peer.subscribe("private-counted")
            await expect_count(peer, count, "private-counted")
        await expect_count(ada, 2, "private-counted")
        bob.socket.transport.abort()
        await expect_count(ada, 1, "private-counted")


async def test_other_applications_hear_of_no_counts(server: Server) -> None:
    """162."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await ada.silence()
        await bob.silence()


async def test_members_are_counted_otherwise(server: Server) -> None:
    """105."""
    async with join(server, "left") as ada, join(server, "left") as bob:
        await ada.enter("presence-counted", "1")
        await bob.enter("presence-counted", "2")
        await ada.expect("pusher_internal:member_added", "presence-counted")
        await bob.leave("presence-counted")
        await ada.expect("pusher_internal:member_removed", "presence-counted")
        await ada.silence()
        await bob.silence()


async def test_the_count_follows_the_answer_and_what_is_kept(server: Server) -> None:
    """109, 160."""
    channel = "cache-counted"
    await publish(server, channel, "kept", app="left")
    async with join(server, "left") as ada:
        await ada.subscribe(channel)
        events = [(await ada.receive())["event"] for _ in range(2)]
        assert sorted(events) == ["kept", COUNT]


async def test_many_are_told_now_and_then(server: Server) -> None:
    """163."""
    async with contextlib.AsyncExitStack() as stack:
        peers = []
        for _ in range(MANY):
            peers.append(await stack.enter_async_context(join(server, "left")))
            # Most of them read nothing: a polite end would wait for that.
            stack.callback(peers[-1].socket.transport.abort)
        first, *others = peers
        await first.subscribe(CHANNEL)
        telling = asyncio.create_task(counts_up_to(first, MANY))
        for peer in others:
            await peer.ask(CHANNEL, auth="")
        told = await telling
        assert told[:100] == [*range(1, 101)]
        assert told == sorted(set(told))
        assert len(told) < MANY  # which each of them would be


async def counts_up_to(peer: Peer, last: int) -> list[int]:
    """Return the counts that ``peer`` hears until ``last``."""
    told: list[int] = []
    while last not in told:
        message = await peer.receive()
        if message["event"] == COUNT:
            told.append(json.loads(message["data"])["subscription_count"])
    return told
