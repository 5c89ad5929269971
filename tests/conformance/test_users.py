"""5.10: who one is, what reaches all of one's sockets, and whom one watches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import publish, terminate
from tests.live import Server

OWN = "#server-to-user-7"
SUCCEEDED = "pusher_internal:subscription_succeeded"
WATCHLIST = "pusher_internal:watchlist_events"


async def expect_watched(peer: Peer, *changes: tuple[str, list[str]]) -> None:
    """The next frame tells exactly these changes, in any order of users."""
    data = await peer.expect(WATCHLIST)
    assert isinstance(data, str)
    told = json.loads(data)
    assert told.keys() == {"events"}
    found = [(event["name"], sorted(event["user_ids"])) for event in told["events"]]
    assert sorted(found) == sorted(changes)
    assert all(event.keys() == {"name", "user_ids"} for event in told["events"])


async def expect_own(peer: Peer, channel: str = OWN) -> None:
    """The user's own channel opens, without any signature."""
    await peer.ask(channel, auth="")
    assert await peer.expect(SUCCEEDED, channel) == "{}"


@pytest.mark.parametrize(
    "user_data",
    ['{"id":"7"}', '{ "user_info" : {"name":"Zoë 😀 \\u00e9"},\t"id":"7", "watchlist":[] }'],
)
async def test_a_good_sign_in_is_answered_with_what_was_signed(
    server: Server, user_data: str
) -> None:
    """143, 144."""
    async with join(server) as ada:
        await ada.ask_signin(user_data)
        assert await ada.expect("pusher:signin_success") == {"user_data": user_data}
        await expect_own(ada)
        await ada.silence()


async def test_a_users_channel_is_its_own(server: Server) -> None:
    """65, 145, 146."""
    async with join(server) as ada, join(server) as nobody:
        await ada.sign_in("8")
        for peer in (ada, nobody):
            await peer.ask(OWN, auth="")
            await peer.expect_subscription_refusal(OWN)
            # Nor does a signature help: there is nothing to sign for.
            await peer.ask_signed(OWN)
            await peer.expect_subscription_refusal(OWN)
        await publish(server, OWN, "n")
        await ada.silence()
        await nobody.silence()


async def test_what_is_sent_to_a_user_reaches_each_of_its_sockets_once(server: Server) -> None:
    """147."""
    async with join(server) as one, join(server) as two, join(server) as other:
        await one.sign_in("7")
        await expect_own(one)
        await expect_own(one)
        await two.sign_in("7")
        await other.sign_in("70")
        await expect_own(other, OWN + "0")
        await publish(server, OWN, "App\\Events\\Ping", '{ "a": 1 }')
        expected = {"event": "App\\Events\\Ping", "data": '{ "a": 1 }', "channel": OWN}
        for peer in (one, two):
            assert await peer.receive() == expected
            await peer.silence()
        await other.silence()
        await publish(server, OWN, "n", socket_id=one.socket_id)
        await two.expect("n", OWN)
        await one.silence()


@pytest.mark.parametrize(
    "user_data",
    [
        "",
        "7",
        "null",
        "{",
        "[]",
        "{}",
        '{"id":""}',
        '{"id":7}',
        '{"id":null}',
        '{"id":["7"]}',
        '{"user_id":"7"}',
        '{"id":"%s"}' % ("7" * 129),
        '{"id":"7","watchlist":"8"}',
        '{"id":"7","watchlist":[8]}',
    ],
)
async def test_unusable_user_data_signs_nobody_in(server: Server, user_data: str) -> None:
    """148."""
    async with join(server) as ada:
        await ada.ask_signin(user_data)
        await ada.expect_refusal(None, 4009)
        await expect_stranger(ada)


@pytest.mark.parametrize(
    "changes",
    [{"secret": "second-secret"}, {"socket_id": "1.2"}, {"key": "second-key"}],
)
async def test_a_forged_sign_in_signs_nobody_in(server: Server, changes: dict[str, str]) -> None:
    """148, 219."""
    async with join(server) as ada:
        await ada.ask_signin('{"id":"7"}', **changes)
        problem = await ada.expect_refusal(None, 4009)
        assert ada.sign("", 'user::{"id":"7"}').partition(":")[2] not in problem["message"]
        await expect_stranger(ada)


@pytest.mark.parametrize(
    "data", [{}, {"auth": "x:y"}, {"user_data": '{"id":"7"}'}, {"auth": 1, "user_data": "{}"}, []]
)
async def test_a_sign_in_without_its_parts_signs_nobody_in(server: Server, data: Any) -> None:
    """148."""
    async with join(server) as ada:
        await ada.send("pusher:signin", data)
        assert (await ada.receive())["event"] == "pusher:error"
        await expect_stranger(ada)


async def expect_stranger(peer: Peer) -> None:
    """The socket lives, and is signed in as nobody."""
    await peer.ask(OWN, auth="")
    await peer.expect_subscription_refusal(OWN)
    await peer.sign_in("7")


async def test_nobody_becomes_somebody_else(server: Server) -> None:
    """149, 150."""
    async with join(server) as ada:
        await ada.sign_in("7")
        await ada.ask_signin('{"id":"8"}')
        await ada.expect_refusal(None, 4009)
        await expect_own(ada)
        await ada.sign_in("7", user_info={"name": "Ada"})
        await publish(server, [OWN, "#server-to-user-8"], "n")
        await ada.expect("n", OWN)
        await ada.silence()


async def test_nobody_whispers_to_a_user(server: Server) -> None:
    """151."""
    async with join(server) as ada, join(server) as ada_too, join(server) as bob:
        for peer in (ada, ada_too):
            await peer.sign_in("7")
            await expect_own(peer)
        for peer in (ada, bob):
            await peer.send("client-x", {}, channel=OWN)
            await peer.expect_refusal(OWN, 4301)
        await ada_too.silence()


async def test_who_is_signed_in_joins_as_its_user(server: Server) -> None:
    """96, 97."""
    async with join(server) as ada, join(server) as bob:
        await ada.sign_in("7", user_info={"name": "Ada"})
        channel = "presence-known"
        await ada.ask_signed(channel)
        data = json.loads(await ada.expect(SUCCEEDED, channel))
        assert data["presence"] == {"count": 1, "ids": ["7"], "hash": {"7": {"name": "Ada"}}}
        await bob.sign_in("8", user_info={"name": "Bob"})
        both = await bob.enter(channel, "9", {"name": "Other"})
        assert both["hash"] == {"7": {"name": "Ada"}, "9": {"name": "Other"}}
        added = json.loads(await ada.expect("pusher_internal:member_added", channel))
        assert added == {"user_id": "9", "user_info": {"name": "Other"}}


async def test_the_signature_is_still_needed_then(server: Server) -> None:
    """93, 96."""
    async with join(server) as ada:
        await ada.sign_in("7")
        for auth in ("", ada.sign("presence-other")):
            await ada.ask("presence-known", auth=auth)
            await ada.expect_subscription_refusal("presence-known")


async def test_one_hears_who_comes_and_goes(server: Server) -> None:
    """152, 153, 154."""
    async with join(server, "left") as ada, join(server, "left") as later:
        await ada.sign_in("7", watchlist=["8", "9"])
        await expect_watched(ada, ("offline", ["8", "9"]))
        async with join(server, "left") as bob:
            await bob.sign_in("8")
            await bob.silence()
            await expect_watched(ada, ("online", ["8"]))
            async with join(server, "left") as bob_too:
                await bob_too.sign_in("8")
                await bob_too.silence()
                await ada.silence()
                await later.sign_in("9", watchlist=["7", "8", "10"])
                await expect_watched(later, ("online", ["7", "8"]), ("offline", ["10"]))
                await expect_watched(ada, ("online", ["9"]))
            await ada.silence()
        await expect_watched(ada, ("offline", ["8"]))
        await expect_watched(later, ("offline", ["8"]))
        await ada.silence()


async def test_watching_is_for_applications_that_want_it(server: Server) -> None:
    """152, 220."""
    async with join(server, "second") as ada, join(server, "second") as bob:
        await ada.sign_in("7", watchlist=["8"])
        await bob.sign_in("8")
        await ada.silence()


async def test_a_watchlist_has_a_limit(server: Server) -> None:
    """155."""
    names = [f"w{number}" for number in range(101)]
    async with join(server, "left") as ada:
        await ada.sign_in("7", watchlist=names)
        await expect_watched(ada, ("offline", sorted(names[:100])))
        await ada.expect_refusal(None, 4302)
        async with join(server, "left") as last, join(server, "left") as beyond:
            await beyond.sign_in(names[100])
            await ada.silence()
            await last.sign_in(names[99])
            await expect_watched(ada, ("online", [names[99]]))


async def test_who_shows_no_signature_in_time_is_closed(server: Server) -> None:
    """156: the others came first, so their second is over as well."""
    async with (
        join(server, "known") as member,
        join(server, "known") as listener,
        join(server, "known") as user,
        join(server, "known") as nobody,
    ):
        await member.enter("presence-known", "1")
        await listener.subscribe("private-known")
        await user.sign_in("7")
        await nobody.subscribe("c")
        await nobody.ask("private-known", auth="known-key:wrong")
        await nobody.expect_subscription_refusal("private-known")
        await nobody.expect_refusal(None, 4009)
        assert (await nobody.closed())[0] == 4009
        for peer in (member, listener, user):
            await peer.silence()


async def test_the_connections_of_a_user_can_be_ended(server: Server) -> None:
    """157, 158, 159."""
    channel = "presence-ended"
    async with (
        join(server, "left") as one,
        join(server, "left") as two,
        join(server, "left") as named_alike,
        join(server, "left") as watcher,
    ):
        await watcher.sign_in("1", watchlist=["7"])
        await expect_watched(watcher, ("offline", ["7"]))
        await watcher.enter(channel, "1")
        for peer in (one, two):
            await peer.sign_in("7")
        await expect_watched(watcher, ("online", ["7"]))
        await one.enter(channel, "70")
        await watcher.expect("pusher_internal:member_added", channel)
        await named_alike.enter("presence-other", "7")
        await terminate(server, "7", app="left")
        for peer in (one, two):
            problem = await peer.expect_refusal(None, 4009)
            reason = "" if server.kind == "daphne" else problem["message"]
            assert await peer.closed() == (4009, reason)
        told = [await watcher.receive() for _ in range(2)]
        assert {(m["event"], m.get("channel")) for m in told} == {
            ("pusher_internal:member_removed", channel),
            (WATCHLIST, None),
        }
        await named_alike.silence()
        await watcher.silence()
