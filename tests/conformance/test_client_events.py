"""5.8: whispers, and who may not whisper what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.peer import Message, Peer, join
from tests.live import Server

CHANNEL = "private-c"
LIMIT = 10_240


async def whisper(peer: Peer, data: Any, event: str = "client-x", channel: str = CHANNEL) -> None:
    await peer.send(event, data, channel=channel)


async def expect_dropped(sender: Peer, other: Peer, channel: str | None, code: int | None) -> None:
    """The sender is told, the other gets nothing."""
    await sender.expect_refusal(channel, code)
    await other.silence()


@pytest.mark.parametrize(
    "data", [{"a": [1, None]}, "text", 7, 1.5, [1, "b"], [], {}, True, False, 0, "", "é😀\u2028"]
)
async def test_data_keeps_its_type(server: Server, data: Any) -> None:
    """122, 123."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await whisper(ada, data)
        assert await bob.receive() == {"event": "client-x", "data": data, "channel": CHANNEL}
        await ada.silence()


async def test_null_is_data_too(server: Server) -> None:
    """123."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await ada.text('{"event":"client-x","channel":"private-c","data":null}')
        assert await bob.receive() == {"event": "client-x", "data": None, "channel": CHANNEL}


async def test_an_application_may_forbid_them(server: Server) -> None:
    """124."""
    async with join(server, "second") as ada, join(server, "second") as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await whisper(ada, {})
        await expect_dropped(ada, bob, CHANNEL, 4301)


async def test_a_whisper_needs_a_subscription(server: Server) -> None:
    """125, 136."""
    async with join(server) as ada, join(server) as bob:
        await bob.subscribe(CHANNEL)
        await whisper(ada, {})
        await expect_dropped(ada, bob, CHANNEL, 4301)
        await ada.subscribe(CHANNEL)
        await ada.send("pusher:unsubscribe", {"channel": CHANNEL})
        await whisper(ada, {})
        await expect_dropped(ada, bob, CHANNEL, 4301)


@pytest.mark.parametrize("channel", ["c", "private-encrypted-c", "#server-to-user-7"])
async def test_not_every_channel_carries_whispers(server: Server, channel: str) -> None:
    """126, 151."""
    async with join(server) as ada, join(server) as bob:
        for peer in (ada, bob):
            if not channel.startswith("#"):
                await peer.subscribe(channel)
        await whisper(ada, {}, channel=channel)
        await expect_dropped(ada, bob, channel, 4301)


@pytest.mark.parametrize("event", ["x", "xclient-y", "pusher:foo", "client", "Client-x"])
async def test_other_names_are_not_relayed(server: Server, event: str) -> None:
    """127."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await whisper(ada, {}, event)
        await expect_dropped(ada, bob, None, None)


async def test_data_has_a_limit_in_bytes(server: Server) -> None:
    """128."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        for data in ("x" * LIMIT, "é" * (LIMIT // 2)):
            await whisper(ada, data)
            assert await bob.expect("client-x", CHANNEL) == data
        for data in ("x" * (LIMIT + 1), "é" * (LIMIT // 2) + "x"):
            await whisper(ada, data)
            await expect_dropped(ada, bob, CHANNEL, 4301)


async def test_names_have_a_limit(server: Server) -> None:
    """129."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        name = "client-" + "x" * 193
        await whisper(ada, {}, name)
        await bob.expect(name, CHANNEL)
        await whisper(ada, {}, name + "x")
        await expect_dropped(ada, bob, CHANNEL, 4301)


async def test_a_socket_may_whisper_so_often_a_second(server: Server) -> None:
    """130, 131, 132: here 3 a second; who is over the limit stays, and may again soon."""
    async with join(server, "small") as ada, join(server, "small") as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        for _ in range(15):
            await whisper(ada, {})
        refused = await drain(ada)
        assert {m["event"] for m in refused} == {"pusher:error"}
        assert {m["data"]["code"] for m in refused} == {4301}
        relayed = await drain(bob)
        assert 3 <= len(relayed) < 15
        assert len(relayed) + len(refused) == 15
        await whisper(bob, {})
        await ada.expect("client-x", CHANNEL)
        async with asyncio.timeout(5):
            while True:  # the clock is the server's
                await whisper(ada, {})
                if not await drain(ada):
                    break
        await bob.expect("client-x", CHANNEL)


async def drain(peer: Peer) -> list[Message]:
    """Return what came before the answer to a ping sent now."""
    await peer.send("pusher:ping")
    messages = []
    while (message := await peer.receive())["event"] != "pusher:pong":
        messages.append(message)
    return messages


async def test_who_whispers_is_ours_to_say(server: Server) -> None:
    """101, 133, 137."""
    async with join(server) as ada, join(server) as bob:
        await ada.enter("presence-c", "1", {"name": "Ada"})
        await bob.enter("presence-c", "2")
        await ada.expect("pusher_internal:member_added", "presence-c")
        await ada.send("client-x", {}, channel="presence-c", user_id="2", socket_id="1.2", more=1)
        expected = {"event": "client-x", "data": {}, "channel": "presence-c", "user_id": "1"}
        assert await bob.receive() == expected


async def test_a_private_channel_names_nobody(server: Server) -> None:
    """134."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await ada.send("client-x", {}, channel=CHANNEL, user_id="2")
        assert await bob.receive() == {"event": "client-x", "data": {}, "channel": CHANNEL}


@pytest.mark.parametrize(
    "frame",
    [
        '{"event":"client-x","data":{}}',
        '{"event":"client-x","channel":"private-c"}',
        '{"event":"client-x","channel":7,"data":{}}',
        '{"event":"client-x","channel":null,"data":{}}',
    ],
)
async def test_a_whisper_without_its_parts(server: Server, frame: str) -> None:
    """135."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe(CHANNEL)
        await bob.subscribe(CHANNEL)
        await ada.text(frame)
        await expect_dropped(ada, bob, None, None)
