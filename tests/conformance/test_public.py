"""5.4: public channels, and what arrives of what was published."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from tests.conformance.bare import wire
from tests.conformance.caller import Caller, ask
from tests.conformance.peer import join
from tests.conformance.publishing import look_up, publish
from tests.live import Server

SUCCEEDED = "pusher_internal:subscription_succeeded"


@pytest.mark.parametrize("auth", [{"auth": ""}, {}, {"auth": None}, {"channel_data": None}])
async def test_a_public_channel_asks_for_nothing(server: Server, auth: dict[str, None]) -> None:
    """50, 51."""
    async with join(server) as peer:
        await peer.ask("c", **auth)
        assert await peer.expect(SUCCEEDED, "c") == "{}"


@pytest.mark.parametrize(
    "data",
    [
        '{"a":1}',
        "hello",
        "",
        '{ "a" :\t1,\n "e": "\\u00e9\\ud83d\\ude00", "e": 2 }',
        'é😀\u2028 "quoted" \\ back',
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ],
)
async def test_data_arrives_byte_for_byte(server: Server, data: str) -> None:
    """52, 53, 54, 55, 249."""
    async with join(server) as peer, join(server) as other:
        await peer.subscribe("c")
        await publish(server, "c", "App\\Events\\It", data)
        message = await peer.receive()
        assert message == {"event": "App\\Events\\It", "data": data, "channel": "c"}
        assert [*message] == ["event", "data", "channel"]
        await other.silence()


async def test_nothing_arrives_after_unsubscribing(server: Server) -> None:
    """56, 57: unsubscribing twice, or from what was never joined, is silent."""
    async with join(server) as peer:
        await peer.subscribe("c")
        for channel in ("c", "c", "never", "private-never", "presence-never", "not a name!"):
            await peer.leave(channel)
        await publish(server, ["c", "never"], "late")
        await peer.silence()


async def test_subscribing_twice_is_subscribing_once(server: Server) -> None:
    """58."""
    async with join(server) as peer:
        await peer.subscribe("c")
        await peer.subscribe("c")
        await publish(server, "c", "once")
        await peer.expect("once", "c")
        await peer.silence()
        await peer.leave("c")
        await publish(server, "c", "late")
        await peer.silence()


async def test_quick_changes_of_mind_end_where_they_end(server: Server) -> None:
    """59."""
    async with join(server) as peer:
        await peer.ask("c")
        await peer.send("pusher:unsubscribe", {"channel": "c"})
        await peer.ask("c")
        await peer.expect(SUCCEEDED, "c")
        await peer.expect(SUCCEEDED, "c")
        await publish(server, "c", "once")
        await peer.expect("once", "c")
        await peer.silence()


async def test_a_change_of_mind_in_one_packet(server: Server) -> None:
    """59, 263."""
    leave = b'{"event":"pusher:unsubscribe","data":{"channel":"c"}}'
    come = b'{"event":"pusher:subscribe","data":{"channel":"c"}}'
    async with join(server) as peer:
        await peer.subscribe("c")
        peer.socket.transport.write(wire(leave) + wire(come))
        assert await peer.expect(SUCCEEDED, "c") == "{}"
        await publish(server, "c", "once")
        await peer.expect("once", "c")
        await peer.silence()


async def test_what_else_a_publisher_says_is_not_told(server: Server) -> None:
    """68."""
    async with join(server) as peer:
        await peer.subscribe("c")
        more = {"user_id": "7", "info": "subscription_count", "secret": "s"}
        answer = await asyncio.to_thread(Caller(server).trigger, "c", "n", "{}", **more)
        assert answer.status == 200
        assert await peer.receive() == {"event": "n", "data": "{}", "channel": "c"}


async def test_ciphertext_is_not_touched(server: Server) -> None:
    """52, 141."""
    data = '{"nonce":"AAAA" ,"ciphertext":"\\u0041\\/+=="}'
    async with join(server) as peer:
        await peer.subscribe("private-encrypted-c")
        await publish(server, "private-encrypted-c", "n", data)
        assert await peer.expect("n", "private-encrypted-c") == data


async def test_order_is_kept(server: Server) -> None:
    """60."""
    caller = Caller(server)

    def publish_all() -> None:
        for start in range(0, 100, 10):
            batch = [
                {"name": "n", "channel": "c", "data": str(number)}
                for number in range(start, start + 10)
            ]
            assert caller.post({"batch": batch}, "batch_events").status == 200

    async with join(server) as peer:
        await peer.subscribe("c")
        await asyncio.to_thread(publish_all)
        assert [await peer.expect("n", "c") for _ in range(100)] == [str(n) for n in range(100)]


async def test_two_publishers_at_once_keep_their_order_each(server: Server) -> None:
    """265: batch after batch on two connections that are kept alive."""
    caller = Caller(server)
    path = caller.path("batch_events")

    def publish_all(name: str) -> None:
        connection = caller.connect()
        for start in range(0, 100, 10):
            batch = [
                {"name": name, "channel": "c", "data": str(number)}
                for number in range(start, start + 10)
            ]
            body = json.dumps({"batch": batch}).encode()
            signed = caller.sign("POST", path, body)
            assert ask(connection, "POST", path, signed, body).status == 200
        connection.close()

    heard: dict[str, list[int]] = {"one": [], "two": []}
    async with join(server) as peer:
        await peer.subscribe("c")
        publishing = [asyncio.to_thread(publish_all, name) for name in heard]
        await asyncio.gather(*publishing)
        for _ in range(200):
            message = await peer.receive()
            heard[message["event"]].append(int(message["data"]))
    assert heard == {"one": [*range(100)], "two": [*range(100)]}


async def test_each_channel_gets_its_own_frame(server: Server) -> None:
    """61, 67."""
    async with join(server) as peer:
        for channel in ("c", "d", "C"):
            await peer.subscribe(channel)
        await publish(server, ["c", "d"], "both")
        await peer.expect("both", "c")
        await peer.expect("both", "d")
        await peer.silence()


@pytest.mark.parametrize("channel", ["a_b-c=d@e,f.g;h", "App.Models.User.1", "x" * 200, "0", "-"])
async def test_unusual_names_work(server: Server, channel: str) -> None:
    """62, 64."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        await publish(server, channel, "n")
        await peer.expect("n", channel)
        resource = f"channels/{quote(channel, safe='')}"
        assert await look_up(server, resource) == {"occupied": True}


@pytest.mark.parametrize(
    "channel",
    ["", " ", "a b", "a/b", "a:b", "a!", "é", "a\n", "x" * 201, "#anything", "#"],
)
async def test_invalid_names_are_refused(server: Server, channel: str) -> None:
    """63, 64, 65."""
    async with join(server) as peer:
        await peer.ask(channel)
        await peer.expect_subscription_refusal(channel[:200], "InvalidChannel", None)
        await peer.silence()


@pytest.mark.parametrize("channel", ["privateer", "my-private-x", "presence", "cached", "client-c"])
async def test_a_prefix_counts_with_its_hyphen(server: Server, channel: str) -> None:
    """66."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        await peer.silence()


async def test_applications_do_not_hear_each_other(server: Server) -> None:
    """218."""
    async with join(server) as peer, join(server, "small") as other:
        await peer.subscribe("c")
        await other.subscribe("c")
        await publish(server, "c", "n")
        await peer.expect("n", "c")
        await other.silence()
