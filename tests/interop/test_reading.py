"""Programs that ask Pusher who is where, or act on users, do so here (196)."""

from __future__ import annotations

import asyncio
import json

from tests.conformance.peer import join
from tests.conformance.test_http_users import become
from tests.interop.conftest import Connect
from tests.interop.test_publishing import DIGITS, refusal
from tests.live import Server

BOTH = ["user_count", "subscription_count"]


async def test_channels(server: Server, sdk: Connect) -> None:
    """189, 190, 196."""
    assert await asyncio.to_thread(sdk().channels) == {"channels": {}}
    async with join(server, DIGITS) as peer:
        await peer.enter("presence-a", "ada")
        await peer.subscribe("c")
        channels = sdk().channels
        assert await asyncio.to_thread(channels) == {"channels": {"presence-a": {}, "c": {}}}
        found = await asyncio.to_thread(channels, "presence-", BOTH)
        counts = {"user_count": 1, "subscription_count": 1}
        assert found == {"channels": {"presence-a": counts}}
        with refusal(400, "presence-"):
            await asyncio.to_thread(channels, None, ["user_count"])


async def test_a_channel(server: Server, sdk: Connect) -> None:
    """191, 192, 196."""
    channel = sdk().channel
    assert await asyncio.to_thread(channel, "vacant") == {"occupied": False}
    async with join(server, DIGITS) as peer:
        await peer.enter("presence-a@b,c;d=e", "ada")
        found = await asyncio.to_thread(channel, "presence-a@b,c;d=e", BOTH)
        assert found == {"occupied": True, "user_count": 1, "subscription_count": 1}
    with refusal(400, "user_count"):
        await asyncio.to_thread(channel, "c", ["user_count"])


async def test_users(server: Server, sdk: Connect) -> None:
    """193, 196."""
    users = sdk().users
    assert await asyncio.to_thread(users, "presence-vacant") == {"users": []}
    async with join(server, DIGITS) as one, join(server, DIGITS) as two:
        await one.enter("presence-a", "ada")
        await two.enter("presence-a", "bob")
        found = await asyncio.to_thread(users, "presence-a")
        assert found == {"users": [{"id": "ada"}, {"id": "bob"}]}
    with refusal(400, "presence"):
        await asyncio.to_thread(users, "c")


async def test_an_event_for_a_user(server: Server, sdk: Connect) -> None:
    """196, 260, as far as the server goes."""
    async with join(server, DIGITS) as peer:
        await become(peer, "ada")
        assert await asyncio.to_thread(sdk().send_to_user, "ada", "n", {"a": 1}) == {}
        assert json.loads(await peer.expect("n", "#server-to-user-ada")) == {"a": 1}


async def test_a_user_is_sent_away(server: Server, sdk: Connect) -> None:
    """195, 196: also by the library whose path names no application."""
    async with join(server, DIGITS) as peer, join(server, DIGITS) as other:
        await become(peer, "ada")
        await become(other, "bob")
        assert await asyncio.to_thread(sdk().terminate, "ada") == {}
        await peer.expect_refusal(None, 4009)
        assert (await peer.closed())[0] == 4009
        assert await asyncio.to_thread(sdk().terminate, "nobody") == {}
        await other.silence()
