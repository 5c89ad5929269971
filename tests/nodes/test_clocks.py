"""Nodes whose clocks differ by half a minute and more: no decision hangs on them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.peer import join
from tests.conformance.publishing import look_up, publish, terminate
from tests.conftest import Valkey
from tests.live import Server
from tests.nodes.conftest import LEASE, environment, running
from tests.nodes.test_together import arrival, departure

pytestmark = pytest.mark.full

ROOM = "presence-clocks"


@pytest.fixture
def skewed(own_valkey: Valkey) -> Iterator[list[Server]]:
    """One that is right, one that is half a minute ahead, and one as far behind."""
    skews = ("0", "30", "-30")
    with running(*(environment(own_valkey, LIVE_CLOCK_SKEW=skew) for skew in skews)) as servers:
        yield servers


async def test_members_stay_and_go_as_with_right_clocks(skewed: list[Server]) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(server)) for server in skewed]
        for number, peer in enumerate(peers):
            shown = await peer.enter(ROOM, str(number))
            assert shown["ids"] == [str(one) for one in range(number + 1)]
            for other in peers[:number]:
                assert (await arrival(other, ROOM))["user_id"] == str(number)
        await asyncio.sleep(2 * LEASE)  # nobody's lease ends for the sake of somebody's clock
        for peer in peers:
            await peer.silence()
        skewed[1].send_signal(signal.SIGKILL)
        for peer in (peers[0], peers[2]):
            assert await departure(peer, ROOM) == "1"
            await peer.silence()
        users = await look_up(skewed[2], f"channels/{ROOM}/users")
        assert users == {"users": [{"id": "0"}, {"id": "2"}]}


async def test_events_and_kept_events_arrive_in_order_and_once(skewed: list[Server]) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(server)) for server in skewed]
        for peer in peers:
            await peer.subscribe("clocks")
        for server in skewed:
            for number in range(20):
                await publish(server, "clocks", "n", str(number))
            for peer in peers:
                for number in range(20):
                    assert await peer.expect("n", "clocks") == str(number)
        await publish(skewed[1], "cache-clocks", "kept", '"1"')
        for peer in peers:
            await peer.subscribe("cache-clocks")
            assert await peer.expect("kept", "cache-clocks") == '"1"'
            await peer.silence()


@pytest.mark.parametrize("asked", [0, 1, 2])
async def test_a_user_who_was_sent_away_is_away_everywhere(
    skewed: list[Server], asked: int
) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(join(server)) for server in skewed]
        for peer in peers:
            await peer.sign_in("clocked")
        await terminate(skewed[asked], "clocked")
        for peer in peers:
            await peer.expect_refusal(None, 4009)
            assert (await peer.closed())[0] == 4009
        for server in skewed:
            again = await stack.enter_async_context(join(server))
            await again.sign_in("clocked")
