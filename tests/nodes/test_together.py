"""5.17: three nodes are as one, whichever a socket or a program happens to reach."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conformance.peer import Peer, dial, join
from tests.conformance.publishing import look_up, publish, terminate
from tests.conformance.test_users import expect_watched
from tests.live import Server
from tests.processes.outages import returning

ADDED = "pusher_internal:member_added"
REMOVED = "pusher_internal:member_removed"
COUNT = "pusher_internal:subscription_count"
ODD = "private-" + "a=@,.;_-B9" * 19 + "zz"
"""200 characters, of all kinds that a name may have."""


async def arrival(peer: Peer, channel: str) -> Any:
    """Return who is said to have come."""
    return json.loads(await peer.expect(ADDED, channel))


async def departure(peer: Peer, channel: str) -> Any:
    return json.loads(await peer.expect(REMOVED, channel))["user_id"]


@pytest.mark.parametrize("channel", ["news", ODD])
async def test_what_one_publishes_reaches_all_once(nodes: list[Server], channel: str) -> None:
    """223, 233."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(node)) for node in nodes]
        for peer in peers:
            await peer.subscribe(channel)
        for number, node in enumerate(nodes):
            await publish(node, channel, "news", str(number))
        for peer in peers:
            assert {await peer.expect("news", channel) for _ in nodes} == {"0", "1", "2"}
            await peer.silence()


async def test_the_socket_to_leave_out_may_be_anywhere(nodes: list[Server]) -> None:
    """180, 224."""
    async with join(nodes[0]) as left_out, join(nodes[1]) as other:
        for peer in (left_out, other):
            await peer.subscribe("spared")
        for node in nodes:
            await publish(node, "spared", "news", socket_id=left_out.socket_id)
        for _ in nodes:
            assert await other.expect("news", "spared") == "{}"
        # Behind what was not for it.
        await publish(nodes[2], "spared", "last")
        assert await left_out.expect("last", "spared") == "{}"


async def test_a_whisper_reaches_the_others_and_not_its_sender(nodes: list[Server]) -> None:
    """225."""
    channel = "private-whispers"
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(node)) for node in nodes]
        for peer in peers:
            await peer.subscribe(channel)
        await peers[0].send("client-typing", {"name": "ada"}, channel=channel)
        for peer in peers[1:]:
            assert await peer.expect("client-typing", channel) == {"name": "ada"}
        await peers[0].silence()


async def test_members_of_all_nodes_are_told_and_told_of(nodes: list[Server]) -> None:
    """226, 227."""
    room = "presence-all"
    async with join(nodes[0]) as ada, join(nodes[1]) as bob:
        assert (await ada.enter(room, "ada", {"n": 1}))["ids"] == ["ada"]
        told = await bob.enter(room, "bob", {"n": 2})
        assert told["hash"] == {"ada": {"n": 1}, "bob": {"n": 2}}
        assert await arrival(ada, room) == {"user_id": "bob", "user_info": {"n": 2}}
        for node in nodes:
            assert await look_up(node, f"channels/{room}/users") == {
                "users": [{"id": "ada"}, {"id": "bob"}]
            }
        async with join(nodes[2]) as again:
            assert (await again.enter(room, "bob", {"n": 3}))["count"] == 2
            info = await look_up(nodes[0], f"channels/{room}", info="user_count")
            assert info == {"occupied": True, "user_count": 2}
            await bob.leave(room)
            await ada.silence()  # one socket of his is still in
        assert await departure(ada, room) == "bob"
        await ada.silence()


async def test_many_sockets_of_a_user_are_one_arrival_and_one_departure(
    nodes: list[Server],
) -> None:
    """226: they race from all nodes at once."""
    room = "presence-race"
    async with join(nodes[0]) as watching, AsyncExitStack() as stack:
        await watching.enter(room, "watching")
        many = [await stack.enter_async_context(join(nodes[n % 3])) for n in range(51)]
        await asyncio.gather(*(peer.enter(room, "crowd") for peer in many))
        assert (await arrival(watching, room))["user_id"] == "crowd"
        await watching.silence()
        await asyncio.gather(*(peer.leave(room) for peer in many))
        assert await departure(watching, room) == "crowd"
        await watching.silence()


async def test_newcomers_everywhere_are_told_the_same(nodes: list[Server]) -> None:
    """226: whoever comes while others come and go sees each of them once."""
    room = "presence-crowd"
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(nodes[n % 3])) for n in range(45)]
        shown = await asyncio.gather(
            *(peer.enter(room, str(number)) for number, peer in enumerate(peers))
        )
        everybody = {str(number) for number in range(45)}
        for peer, snapshot in zip(peers, shown, strict=True):
            known = set(snapshot["ids"])
            while known != everybody:
                came = (await arrival(peer, room))["user_id"]
                assert came not in known
                known.add(came)
            await peer.silence()
        for peer in peers[15:]:
            await peer.send("pusher:unsubscribe", {"channel": room})
        for peer in peers[:15]:
            gone = [await departure(peer, room) for _ in range(30)]
            assert sorted(gone, key=int) == [str(number) for number in range(15, 45)]
            await peer.silence()


async def test_counts_and_lists_are_of_all_nodes(nodes: list[Server]) -> None:
    """227."""
    async with AsyncExitStack() as stack:
        for node in nodes:
            peer = await stack.enter_async_context(join(node, "second"))
            await peer.subscribe("private-counted")
        for node in nodes:
            asked = {"filter_by_prefix": "private-", "info": "subscription_count"}
            listed = await look_up(node, "channels", "second", **asked)
            assert listed == {"channels": {"private-counted": {"subscription_count": 3}}}
            assert await look_up(node, "connections", "second") == {"connections": 3}


async def test_terminating_ends_a_users_sockets_everywhere(nodes: list[Server]) -> None:
    """228."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(node)) for node in nodes]
        for peer in peers:
            await peer.sign_in("everywhere")
        await terminate(nodes[1], "everywhere")
        for peer in peers:
            await peer.expect_refusal(None, 4009)
            assert (await peer.closed())[0] == 4009


async def test_a_kept_event_is_found_from_any_node(nodes: list[Server]) -> None:
    """229."""
    await publish(nodes[0], "cache-kept", "kept", '"1"')
    for node in nodes:
        async with join(node) as peer:
            await peer.subscribe("cache-kept")
            assert await peer.expect("kept", "cache-kept") == '"1"'


async def test_subscription_counts_are_told_everywhere(nodes: list[Server]) -> None:
    """230."""
    async with AsyncExitStack() as stack:
        peers = []
        for number, node in enumerate(nodes, 1):
            peer = await stack.enter_async_context(join(node, "right"))
            await peer.subscribe("told")
            peers.append(peer)
            for other in peers:
                told = json.loads(await other.expect(COUNT, "told"))
                assert told == {"subscription_count": number}
        await peers.pop().leave("told")
        for other in peers:
            told = json.loads(await other.expect(COUNT, "told"))
            assert told == {"subscription_count": 2}


async def test_watched_users_may_be_on_any_node(nodes: list[Server]) -> None:
    """230."""
    async with join(nodes[0]) as ada:
        await ada.sign_in("ada", watchlist=["bob", "cleo"])
        await expect_watched(ada, ("offline", ["bob", "cleo"]))
        async with join(nodes[1]) as bob:
            await bob.sign_in("bob")
            await expect_watched(ada, ("online", ["bob"]))
            async with join(nodes[2]) as again:
                await again.sign_in("bob", watchlist=["ada", "cleo"])
                await expect_watched(again, ("online", ["ada"]), ("offline", ["cleo"]))
            await ada.silence()
        await expect_watched(ada, ("offline", ["bob"]))


async def test_capacity_counts_all_nodes(nodes: list[Server]) -> None:
    """232."""
    async with join(nodes[0], "one"), dial(nodes[1], "one") as refused:
        await refused.expect_refusal(None, 4004)
        assert (await refused.closed())[0] == 4004
    # What a server does last for a socket may come after its close.
    async with asyncio.timeout(10), returning(nodes[2], "one"):
        pass
