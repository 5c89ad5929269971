"""5.7: channels that keep their last event for those who come later."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import pytest

from tests.conformance.caller import ask
from tests.conformance.peer import Peer, join
from tests.conformance.publishing import caller, look_up, publish
from tests.live import Server

HASTY = "/realtime/app/app-key"
MISS = "pusher:cache_miss"
SUCCEEDED = "pusher_internal:subscription_succeeded"
PREFIXES = ["cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"]
GUARDED = PREFIXES[1:]


@pytest.fixture
def name() -> str:
    """A name that no other test has left anything under: what is kept outlives the sockets."""
    return secrets.token_hex(6)


async def come(peer: Peer, channel: str, user_id: str = "1") -> None:
    """Join a channel of any kind."""
    if channel.startswith("presence-"):
        await peer.enter(channel, user_id)
    else:
        await peer.subscribe(channel)


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_nothing_kept_is_a_miss(server: Server, prefix: str, name: str) -> None:
    """108, 116."""
    async with join(server) as peer:
        await come(peer, prefix + name)
        assert await peer.receive() == {"event": MISS, "channel": prefix + name}
        await peer.silence()
        await publish(server, prefix + name, "live")
        await peer.expect("live", prefix + name)


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_last_event_is_kept_for_who_comes_later(
    server: Server, prefix: str, name: str
) -> None:
    """109, 110, 111, 112, 116."""
    channel, data = prefix + name, '{ "a": "\\u00e9" }'
    await publish(server, channel, "first")
    await publish(server, channel, "last", data)
    for _ in range(2):  # and again, when everybody has left
        async with join(server) as peer:
            await come(peer, channel)
            assert await peer.receive() == {"event": "last", "data": data, "channel": channel}
            await peer.silence()


@pytest.mark.parametrize("prefix", GUARDED)
async def test_a_guarded_kind_stays_guarded(server: Server, prefix: str, name: str) -> None:
    """80, 116: what is kept is not shown either."""
    channel = prefix + name
    await publish(server, channel, "kept")
    async with join(server) as peer:
        for auth in ("", peer.sign(channel, secret="wrong")):
            await peer.ask(channel, auth=auth)
            await peer.expect_subscription_refusal(channel)
        await peer.silence()


async def test_what_is_kept_goes_in_time(hasty_server: Server, name: str) -> None:
    """113."""
    channel = f"cache-{name}"
    prefixed = caller(hasty_server)
    path = f"/realtime{prefixed.path()}"
    body = json.dumps({"name": "n", "channel": channel, "data": "{}"}).encode()
    answer = await asyncio.to_thread(
        prefixed.send, "POST", path, prefixed.sign("POST", path, body), body
    )
    assert answer.status == 200
    async with join(hasty_server, path=HASTY) as peer, asyncio.timeout(30):
        peer.polite = True
        while True:  # the clock is the server's
            await peer.ask(channel)
            await peer.expect(SUCCEEDED, channel)
            if (await peer.receive())["event"] == MISS:
                break
            await peer.send("pusher:unsubscribe", {"channel": channel})


@pytest.mark.parametrize("prefix", ["private-cache-", "presence-cache-"])
async def test_what_clients_and_the_server_say_is_not_kept(
    server: Server, prefix: str, name: str
) -> None:
    """114, 115."""
    channel = prefix + name
    async with join(server) as ada, join(server) as bob, join(server) as late:
        await come(ada, channel, "1")
        await ada.expect(MISS, channel)
        await come(bob, channel, "2")
        await bob.expect(MISS, channel)
        if prefix.startswith("presence-"):
            await ada.expect("pusher_internal:member_added", channel)
        await ada.send("client-x", {}, channel=channel)
        await bob.expect("client-x", channel)
        await bob.leave(channel)
        await come(late, channel, "3")
        await late.expect(MISS, channel)
        await late.silence()


async def test_who_was_left_out_gets_it_later(server: Server, name: str) -> None:
    """117."""
    channel = f"cache-{name}"
    async with join(server) as peer:
        await peer.subscribe(channel)
        await peer.expect(MISS, channel)
        await publish(server, channel, "n", socket_id=peer.socket_id)
        await peer.silence()
        await peer.leave(channel)
        await peer.subscribe(channel)
        await peer.expect("n", channel)


async def test_the_http_api_shows_what_is_kept(server: Server, name: str) -> None:
    """118, 119."""
    channel = f"cache-{name}"
    vacant = await look_up(server, f"channels/{channel}", info="cache")
    assert vacant == {"occupied": False, "cache": None}
    await publish(server, channel, "n", "kept")
    async with join(server) as peer:
        await peer.subscribe(channel)
        await peer.expect("n", channel)
        found = await look_up(server, f"channels/{channel}", info="cache")
    assert found["occupied"] is True
    assert found["cache"].keys() == {"data", "ttl"}
    assert found["cache"]["data"] == "kept"
    assert 0 < found["cache"]["ttl"] <= 1800


@pytest.mark.parametrize("channel", ["plain-{}", "private-{}", "presence-{}", "cached-{}"])
async def test_other_channels_keep_nothing(server: Server, channel: str, name: str) -> None:
    """66, 120."""
    channel = channel.format(name)
    await publish(server, channel, "n")
    async with join(server) as peer:
        await come(peer, channel)
        await peer.silence()


async def test_what_is_published_meanwhile_arrives_once(server: Server, name: str) -> None:
    """121: each stay hears a stretch without gaps and without doubles, the kept one first."""
    channel, total = f"cache-{name}", 150

    def publish_all() -> None:
        publisher = caller(server)
        path = publisher.path()
        connection = publisher.connect()
        for number in range(total):
            body = json.dumps({"name": "n", "channel": channel, "data": str(number)}).encode()
            signed = publisher.sign("POST", path, body)
            assert ask(connection, "POST", path, signed, body).status == 200
        connection.close()

    async with join(server) as peer:
        publishing = asyncio.create_task(asyncio.to_thread(publish_all))
        while not publishing.done():
            heard = await stay(peer, channel)
            assert heard == [*range(heard[0], heard[0] + len(heard))] if heard else True
        await publishing
        assert await stay(peer, channel) == [total - 1]


async def stay(peer: Peer, channel: str) -> list[int]:
    """Join for a moment; return the numbers that were heard."""
    await peer.ask(channel)
    await peer.expect(SUCCEEDED, channel)
    await peer.send("pusher:ping")
    await peer.send("pusher:unsubscribe", {"channel": channel})
    await peer.send("pusher:ping")
    messages: list[dict[str, Any]] = []
    pongs = 0
    while pongs < 2:
        message = await peer.receive()
        pongs += message["event"] == "pusher:pong"
        messages.append(message)
    return [int(message["data"]) for message in messages if message["event"] == "n"]
