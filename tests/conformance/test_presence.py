"""5.6: who is here, counted in users, never in sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import look_up
from tests.live import Server

CHANNEL = "presence-c"
ADDED = "pusher_internal:member_added"
REMOVED = "pusher_internal:member_removed"


async def expect_member(peer: Peer, event: str, channel: str = CHANNEL) -> Any:
    """Return what came with the change of membership that is the next frame."""
    data = await peer.expect(event, channel)
    assert isinstance(data, str)  # 84
    return json.loads(data)


async def test_joining_and_leaving_is_told_to_the_others(server: Server) -> None:
    """81-85, 91."""
    async with join(server) as ada, join(server) as bob:
        alone = await ada.enter(CHANNEL, "1", {"name": "Ada"})
        assert alone == {"count": 1, "ids": ["1"], "hash": {"1": {"name": "Ada"}}}
        both = await bob.enter(CHANNEL, "2", {"name": "Bob"})
        assert both["count"] == 2
        assert sorted(both["ids"]) == ["1", "2"]
        assert both["hash"] == {"1": {"name": "Ada"}, "2": {"name": "Bob"}}
        bobs = {"user_id": "2", "user_info": {"name": "Bob"}}
        assert await expect_member(ada, ADDED) == bobs
        await bob.silence()
        await bob.leave(CHANNEL)
        assert await expect_member(ada, REMOVED) == {"user_id": "2"}
        await ada.silence()


async def test_a_cut_connection_is_a_departure(server: Server) -> None:
    """86."""
    async with join(server) as ada, join(server) as bob:
        await ada.enter(CHANNEL, "1")
        await bob.enter(CHANNEL, "2")
        await expect_member(ada, ADDED)
        bob.socket.transport.abort()
        assert await expect_member(ada, REMOVED) == {"user_id": "2"}


async def test_two_sockets_are_one_user(server: Server) -> None:
    """87, 88, 104."""
    async with join(server) as ada, join(server) as bob, join(server) as bob_too:
        await ada.enter(CHANNEL, "1")
        await bob.enter(CHANNEL, "2", "old")
        await expect_member(ada, ADDED)
        snapshot = await bob_too.enter(CHANNEL, "2", "new")
        assert snapshot["count"] == 2
        assert snapshot["hash"]["2"] == "new"
        await bob.silence()
        await ada.silence()
        await bob.leave(CHANNEL)
        await ada.silence()
        await bob_too.leave(CHANNEL)
        assert await expect_member(ada, REMOVED) == {"user_id": "2"}
        await ada.silence()


async def test_ids_are_strings_everywhere(server: Server) -> None:
    """89, 92, 261."""
    async with join(server) as ada, join(server) as bob, join(server) as cleo:
        await ada.enter(CHANNEL, 0)
        await bob.enter(CHANNEL, 1)
        assert (await expect_member(ada, ADDED))["user_id"] == "1"
        snapshot = await cleo.enter(CHANNEL, "2.5")
        assert sorted(snapshot["ids"]) == ["0", "1", "2.5"]
        assert snapshot["hash"].keys() == {"0", "1", "2.5"}
        found = (await look_up(server, f"channels/{CHANNEL}/users"))["users"]
        assert sorted(user["id"] for user in found) == ["0", "1", "2.5"]


async def test_members_without_info(server: Server) -> None:
    """90."""
    async with join(server) as ada:
        assert (await ada.enter(CHANNEL, "1"))["hash"] == {"1": None}


async def test_info_round_trips(server: Server) -> None:
    """107."""
    info = {"name": 'Zoë "😀" \\ \u2028 </script>', "nested": [{"a": None}, 1.5, True]}
    async with join(server) as ada, join(server) as bob:
        await ada.enter(CHANNEL, "1")
        assert (await bob.enter(CHANNEL, "2", info))["hash"]["2"] == info
        assert (await expect_member(ada, ADDED))["user_info"] == info


async def test_channel_data_is_signed_as_it_is_written(server: Server) -> None:
    """93, 94."""
    data = '{ "user_info" : {"b":1, "a":2},\t"user_id":  "1" }'
    async with join(server) as ada:
        auth = ada.sign(CHANNEL, data)
        await ada.ask(CHANNEL, auth=auth, channel_data=data.replace("1", "2"))
        await ada.expect_subscription_refusal(CHANNEL)
        await ada.ask(CHANNEL, auth=auth)
        await ada.expect_subscription_refusal(CHANNEL)
        await ada.ask(CHANNEL, auth=auth, channel_data=data)
        await ada.expect("pusher_internal:subscription_succeeded", CHANNEL)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"user_id":null}',
        '{"user_id":""}',
        '{"user_id":true}',
        '{"user_id":1.5}',
        '{"user_id":["1"]}',
        '{"user_id":"%s"}' % ("1" * 129),
        '{"user_id":"1","user_info":"%s"}' % ("x" * 1_025),
    ],
)
async def test_without_a_usable_member_nobody_joins(server: Server, data: str | None) -> None:
    """95, 100."""
    async with join(server) as ada, join(server) as bob:
        await ada.enter(CHANNEL, "1")
        await bob.ask_signed(CHANNEL, data)
        await bob.expect_subscription_refusal(CHANNEL, "InvalidMember", None)
        await ada.silence()
        await bob.enter(CHANNEL, "1" * 128, "x" * 1_024)


async def test_a_full_channel_takes_members_of_it_only(server: Server) -> None:
    """98, 99."""
    async with (
        join(server, "small") as one,
        join(server, "small") as two,
        join(server, "small") as three,
        join(server, "small") as other,
    ):
        await one.enter(CHANNEL, "1")
        await two.enter(CHANNEL, "2")
        await three.enter(CHANNEL, "3")
        for _ in range(2):
            await expect_member(one, ADDED)
        await other.ask_signed(CHANNEL, '{"user_id":"4"}')
        problem = await other.expect_subscription_refusal(CHANNEL, "LimitReached", 4100)
        assert problem["status"] == 4100
        await one.silence()
        assert (await other.enter(CHANNEL, "3"))["count"] == 3
        await three.leave(CHANNEL)
        await one.silence()


async def test_joining_again_is_told_to_nobody_and_coming_back_is(server: Server) -> None:
    """102, 103."""
    async with join(server) as ada, join(server) as bob:
        await ada.enter(CHANNEL, "1")
        await bob.enter(CHANNEL, "2")
        await expect_member(ada, ADDED)
        assert (await bob.enter(CHANNEL, "2"))["count"] == 2
        await ada.silence()
        await bob.leave(CHANNEL)
        await bob.enter(CHANNEL, "2")
        await expect_member(ada, REMOVED)
        await expect_member(ada, ADDED)
        await ada.silence()


async def test_a_socket_may_renew_its_info_and_become_nobody_else(server: Server) -> None:
    async with join(server) as ada, join(server) as bob:
        await ada.enter(CHANNEL, "1")
        await bob.enter(CHANNEL, "2", "old")
        await expect_member(ada, ADDED)
        again = await bob.enter(CHANNEL, "2", "new")
        assert again == {"count": 2, "ids": ["1", "2"], "hash": {"1": None, "2": "new"}}
        await bob.ask_signed(CHANNEL, '{"user_id":"3"}')
        await bob.expect_subscription_refusal(CHANNEL, "InvalidMember", None)
        assert sorted((await ada.enter(CHANNEL, "1"))["ids"]) == ["1", "2"]
        await bob.leave(CHANNEL)
        assert await expect_member(ada, REMOVED) == {"user_id": "2"}
        await ada.silence()


async def test_one_departure_a_channel(server: Server) -> None:
    """106."""
    channels = [f"presence-{number}" for number in range(20)]
    async with join(server) as ada:
        async with join(server) as bob:
            for channel in channels:
                await ada.enter(channel, "1")
                await bob.enter(channel, "2")
                await expect_member(ada, ADDED, channel)
        left = [await ada.receive() for _ in channels]
        assert {message["event"] for message in left} == {REMOVED}
        assert sorted(message["channel"] for message in left) == sorted(channels)
        await ada.silence()


async def test_a_race_of_one_user_is_told_once(server: Server) -> None:
    """226, on one node."""
    async with contextlib.AsyncExitStack() as stack:
        ada = await stack.enter_async_context(join(server))
        bobs = [await stack.enter_async_context(join(server)) for _ in range(20)]
        await ada.enter(CHANNEL, "1")
        await asyncio.gather(*(bob.enter(CHANNEL, "2") for bob in bobs))
        await expect_member(ada, ADDED)
        await ada.silence()
        await asyncio.gather(*(bob.leave(CHANNEL) for bob in bobs))
        await expect_member(ada, REMOVED)
        await ada.silence()
