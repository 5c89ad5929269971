"""5.18: nodes that die, stall or lose the registry leave no ghost and miss nobody."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import look_up, publish
from tests.conftest import Valkey, frozen
from tests.live import PATIENCE, Server, wait_for_line
from tests.nodes.conftest import environment, running
from tests.nodes.test_together import arrival, departure
from tests.webhooks.receiver import Receiver

# Each has three servers of its own.
pytestmark = pytest.mark.full

ROOM = "presence-faults"


@pytest.fixture
def three(own_valkey: Valkey, receiver: Receiver) -> Iterator[list[Server]]:
    """Three nodes of their own, to be killed."""
    with running(*[environment(own_valkey, LIVE_WEBHOOK=receiver.url)] * 3) as servers:
        yield servers


async def members(server: Server, room: str = ROOM, app: str = "told") -> set[str]:
    """Return who is in, by the word of a node."""
    answer = await look_up(server, f"channels/{room}/users", app)
    return {user["id"] for user in answer["users"]}


async def meet(ada: Peer, bob: Peer) -> None:
    """Both enter, and she is told of him."""
    await ada.enter(ROOM, "ada")
    await bob.enter(ROOM, "bob")
    assert (await arrival(ada, ROOM))["user_id"] == "bob"


async def test_members_of_a_killed_node_are_missed_once(
    three: list[Server], receiver: Receiver
) -> None:
    """231, 234: by everybody who stays, and by webhooks."""
    async with join(three[0], "told") as ada, join(three[1], "told") as bob:
        await meet(ada, bob)
        async with AsyncExitStack() as stack:
            for user_id in ("cleo", "cleo", "dan", "ada"):
                peer = await stack.enter_async_context(join(three[2], "told"))
                await peer.enter(ROOM, user_id)
                await peer.subscribe("only-there")
            for peer in (ada, bob):
                assert {(await arrival(peer, ROOM))["user_id"] for _ in "12"} == {"cleo", "dan"}
            await asyncio.to_thread(receiver.wait_for, 6)
            three[2].send_signal(signal.SIGKILL)
            for peer in (ada, bob):
                assert {await departure(peer, ROOM) for _ in "12"} == {"cleo", "dan"}
                await peer.silence()
        assert await members(three[0]) == {"ada", "bob"}
        assert await look_up(three[1], "connections", "told") == {"connections": 2}
        assert (await look_up(three[1], "channels", "told"))["channels"].keys() == {ROOM}
        await asyncio.to_thread(receiver.wait_for, 9)
    # One each, however many survivors there were.
    await asyncio.to_thread(receiver.wait_for, 12)
    told = sorted((e["name"], e["channel"], e.get("user_id")) for e in receiver.events())
    assert told == sorted(
        [
            *((f"member_{what}", ROOM, who) for what in ("added", "removed") for who in USERS),
            *((f"channel_{what}", ROOM, None) for what in ("occupied", "vacated")),
            *((f"channel_{what}", "only-there", None) for what in ("occupied", "vacated")),
        ],
    )


USERS = ("ada", "bob", "cleo", "dan")


async def test_a_node_that_stalled_brings_back_no_ghosts(three: list[Server]) -> None:
    """235: who is still there is there again, and who went meanwhile is not."""
    async with join(three[0], "told") as ada, join(three[1], "told") as bob:
        await meet(ada, bob)
        async with join(three[1], "told") as cleo:
            await cleo.enter(ROOM, "cleo")
            assert (await arrival(ada, ROOM))["user_id"] == "cleo"
            three[1].send_signal(signal.SIGSTOP)
            try:
                assert {await departure(ada, ROOM) for _ in "12"} == {"bob", "cleo"}
                assert await members(three[0]) == {"ada"}
                # Nobody answers her goodbye.
                cleo.socket.transport.abort()
            finally:
                three[1].send_signal(signal.SIGCONT)
        came = (await arrival(ada, ROOM))["user_id"]
        if came == "cleo":  # the node saw her end only after it had entered everybody
            came = next(iter({(await arrival(ada, ROOM))["user_id"]}))
            assert await departure(ada, ROOM) == "cleo"
        assert came == "bob"
        await publish(three[2], ROOM, "news", app="told")
        assert await ada.expect("news", ROOM) == "{}"
        assert await members(three[2]) == {"ada", "bob"}


async def heard_again(peer: Peer, server: Server, channel: str) -> None:
    """Publish until ``peer`` hears it; return then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await publish(server, channel, "probe", app="told")
            try:
                async with asyncio.timeout(0.2):
                    message = json.loads(await peer.socket.recv())
            except TimeoutError:
                continue
            if message["event"] == "probe":
                return


async def test_a_flushed_store_is_filled_again(three: list[Server], own_valkey: Valkey) -> None:
    """237: nobody is told of anything, since nothing changed."""
    async with join(three[0], "told") as ada, join(three[1], "told") as bob:
        await meet(ada, bob)
        own_valkey.server.client().flushall()
        for server in three[:2]:
            await asyncio.to_thread(wait_for_line, server.log, "Entering its 1 sockets anew")
        async with asyncio.timeout(PATIENCE):
            while await members(three[2]) != {"ada", "bob"}:
                await asyncio.sleep(0.05)
        assert await look_up(three[2], "connections", "told") == {"connections": 2}
        await publish(three[2], ROOM, "news", app="told")
        for peer in (ada, bob):
            assert await peer.expect("news", ROOM) == "{}"


async def test_a_store_that_is_away_for_a_while_loses_nobody(
    three: list[Server], own_valkey: Valkey
) -> None:
    """236: it is frozen for longer than a lease."""
    async with join(three[0], "told") as ada, join(three[1], "told") as bob:
        await meet(ada, bob)
        with frozen(own_valkey):
            for server in three[:2]:
                await asyncio.to_thread(wait_for_line, server.log, "The registry does not answer")
            await asyncio.sleep(3)  # the time itself is what is tested
        for server in three[:2]:
            await asyncio.to_thread(wait_for_line, server.log, "The registry answers again")
        for peer in (ada, bob):
            await heard_again(peer, three[2], ROOM)
        assert await members(three[2]) == {"ada", "bob"}
        async with join(three[2], "told") as cleo:
            assert set((await cleo.enter(ROOM, "cleo"))["ids"]) == {"ada", "bob", "cleo"}


async def test_who_leaves_while_the_store_is_away_is_gone_when_it_is_back(
    three: list[Server], own_valkey: Valkey
) -> None:
    """236."""
    async with join(three[0], "told") as ada:
        await ada.enter(ROOM, "ada")
        async with AsyncExitStack() as stack:
            bob = await stack.enter_async_context(join(three[1], "told"))
            await bob.enter(ROOM, "bob")
            await arrival(ada, ROOM)
            with frozen(own_valkey):
                await stack.aclose()
                await asyncio.to_thread(wait_for_line, three[1].log, "The registry does not answer")
        assert await departure(ada, ROOM) == "bob"
        assert await members(three[2]) == {"ada"}
