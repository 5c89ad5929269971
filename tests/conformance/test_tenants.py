"""Whatever the tenant "left" does, "right" hears, sees and loses nothing of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.caller import Caller
from tests.conformance.peer import Peer, join
from tests.conformance.publishing import caller, look_up, publish, terminate
from tests.live import Server

Act = Callable[[Server, Peer], Awaitable[Any]]

CHANNELS = ("both", "private-both", "cache-both", "private-encrypted-both")
USER = "7"


async def settle(peer: Peer) -> None:
    """Read everything that comes, counts of what it joined itself among them."""
    heard = True
    while heard:
        heard = False
        await peer.send("pusher:ping")
        while (await peer.receive())["event"] != "pusher:pong":
            heard = True


async def enter_everything(peer: Peer) -> None:
    await peer.sign_in(USER, watchlist=["8"])
    for channel in CHANNELS:
        await (peer.ask_signed(channel) if channel.startswith("private") else peer.ask(channel))
    await peer.ask_signed("presence-both", json.dumps({"user_id": USER}))
    await settle(peer)


async def post(server: Server, resource: str, content: object) -> None:
    answer = await asyncio.to_thread(caller(server, "left").post, content, resource)
    assert answer.status == 200


ACTS: dict[str, Act] = {
    "an event for every channel": lambda server, _: publish(
        server, [*CHANNELS[:3], "presence-both", f"#server-to-user-{USER}"], "n", app="left"
    ),
    "a batch": lambda server, _: post(
        server, "batch_events", {"batch": [{"name": "n", "channel": "both", "data": "{}"}]}
    ),
    "a whisper": lambda _, peer: peer.send("client-x", {}, channel="presence-both"),
    "a member who leaves": lambda _, peer: peer.leave("presence-both"),
    "a channel that is vacated": lambda _, peer: peer.leave("both"),
    "a revocation": lambda server, _: post(
        server, f"users/{USER}/revoke", {"channel": "private-both"}
    ),
    "the end of a user": lambda server, _: terminate(server, USER, app="left"),
    "the end of a socket": lambda _, peer: peer.socket.close(),
}


@pytest.mark.parametrize("act", ACTS)
async def test_nothing_crosses(server: Server, act: str) -> None:
    """218."""
    async with join(server, "left") as left, join(server, "right") as right:
        await enter_everything(left)
        await enter_everything(right)
        seen = [await look_up(server, "channels", "right"), await counts(server)]
        await ACTS[act](server, left)
        if act not in ("the end of a user", "the end of a socket"):
            await settle(left)
        await right.silence()
        assert [await look_up(server, "channels", "right"), await counts(server)] == seen
        await publish(server, "both", "still", app="right")
        await right.expect("still", "both")


async def counts(server: Server) -> list[Any]:
    """Return what the right one is told of itself."""
    return [
        await look_up(server, "connections", "right"),
        await look_up(server, "channels/presence-both/users", "right"),
        await look_up(server, "channels/presence-both", "right", info="user_count"),
    ]


async def test_the_secret_of_one_signs_nothing_of_the_other(server: Server) -> None:
    """218, 67: sockets, users and requests, with the key of either."""
    async with join(server, "right") as peer:
        for key in ("left-key", "right-key"):
            for channel, data in (("private-x", None), ("presence-x", '{"user_id":"7"}')):
                auth = peer.sign(channel, data, secret="left-secret", key=key)
                more = {} if data is None else {"channel_data": data}
                await peer.ask(channel, auth=auth, **more)
                await peer.expect_subscription_refusal(channel)
            await peer.ask_signin('{"id":"7"}', secret="left-secret", key=key)
            await peer.expect_refusal(None, 4009)
    for app, key in (("right", "right-key"), ("right", "left-key"), ("left", "right-key")):
        stranger = Caller(server, app, key, "left-secret")
        for resource in ("channels", "connections", "channels/presence-both/users"):
            assert stranger.get(resource).status == 401
        assert stranger.trigger("both", "n", "{}").status == 401
        assert stranger.post({}, f"users/{uuid4()}/terminate_connections").status == 401
