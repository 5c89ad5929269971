"""5.10, 5.13: what a program does to a user, wherever that user is connected."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from urllib.parse import quote

import pytest

from tests.conformance.caller import Answer, Caller
from tests.conformance.peer import Peer, join
from tests.live import Server

ODD = ["a/b", "a?b", "a%2Fb", "123.456", "é 日本", "a&b=c", "#1"]


async def become(peer: Peer, user_id: str) -> None:
    """Sign in."""
    user_data = json.dumps({"id": user_id})
    text = f"{peer.socket_id}::user::{user_data}".encode()
    digest = hmac.new(peer.secret.encode(), text, hashlib.sha256).hexdigest()
    await peer.send("pusher:signin", {"auth": f"{peer.key}:{digest}", "user_data": user_data})
    assert await peer.expect("pusher:signin_success") == {"user_data": user_data}


def terminate(caller: Caller, user_id: str, body: bytes = b"", **extra: str) -> Answer:
    path = caller.path(f"users/{quote(user_id, safe='')}/terminate_connections")
    return caller.send("POST", path, caller.sign("POST", path, body, extra=extra), body)


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_all_sockets_of_a_user_end(server: Server, body: bytes) -> None:
    """195, and of nobody else: not another user's, not another application's."""
    caller = Caller(server)
    async with (
        join(server) as one,
        join(server) as two,
        join(server) as other,
        join(server, "digits") as foreign,
    ):
        for peer, user_id in ((one, "7"), (two, "7"), (other, "77"), (foreign, "7")):
            await become(peer, user_id)
        answer = await asyncio.to_thread(terminate, caller, "7", body)
        assert (answer.status, answer.text) == (200, "{}")
        for peer in (one, two):
            await peer.expect_refusal(None, 4009)
            assert (await peer.closed())[0] == 4009
        await other.silence()
        await foreign.silence()
    assert terminate(caller, "nobody", body).text == "{}"


async def test_they_may_be_told_to_return(server: Server) -> None:
    """195: with ``reconnect=1``."""
    async with join(server) as peer:
        await become(peer, "back")
        answer = await asyncio.to_thread(terminate, Caller(server), "back", reconnect="1")
        assert answer.status == 200
        await peer.expect_refusal(None, 4200)
        assert (await peer.closed())[0] == 4200


@pytest.mark.parametrize("user_id", ODD)
async def test_ids_of_any_kind(server: Server, user_id: str) -> None:
    """173, 195, 261: percent-encoded in the path, and signed so or decoded."""
    caller = Caller(server)
    sent = caller.path(f"users/{quote(user_id, safe='')}/terminate_connections")
    for signed in (sent, caller.path(f"users/{user_id}/terminate_connections")):
        async with join(server) as peer:
            await become(peer, user_id)
            pairs = caller.sign("POST", signed)
            answer = await asyncio.to_thread(caller.send, "POST", sent, pairs)
            assert answer.status == 200
            await peer.expect_refusal(None, 4009)


@pytest.mark.parametrize("user_id", ["x" * 129, "a\nb", "\x00"])
def test_ids_that_nobody_can_have(server: Server, user_id: str) -> None:
    assert terminate(Caller(server), user_id).status == 400


async def test_the_path_without_an_application(server: Server) -> None:
    """196: the application is the one whose key stands in the query."""
    path = "/users/7/terminate_connections"
    async with join(server, "digits") as peer, join(server) as other:
        await become(peer, "7")
        await become(other, "7")
        caller = Caller(server, "1001", "digits-key", "digits-secret")
        pairs = caller.sign("POST", path, b"{}")
        answer = await asyncio.to_thread(caller.send, "POST", path, pairs, b"{}")
        assert (answer.status, answer.text) == (200, "{}")
        await peer.expect_refusal(None, 4009)
        await other.silence()
        wrong = Caller(server, "1001", "digits-key", "wrong")
        assert wrong.send("POST", path, wrong.sign("POST", path)).status == 401
        nobody = Caller(server, "1001", "nobody", "digits-secret")
        assert nobody.send("POST", path, nobody.sign("POST", path)).status == 401


def test_without_a_key_that_path_is_the_sites_own(server: Server) -> None:
    """So is any other method."""
    caller = Caller(server)
    path = "/users/7/terminate_connections"
    assert "auth_key" not in caller.send("POST", path).text
    assert not caller.send("POST", path).headers["content-type"].startswith("application/json")
    answer = caller.send("GET", path, caller.sign("GET", path))
    assert not answer.headers["content-type"].startswith("application/json")


async def test_an_event_for_a_user(server: Server) -> None:
    """260, as far as the server goes: all of that user's sockets, and nobody else's."""
    async with join(server) as one, join(server) as two, join(server) as other:
        await become(one, "123.456")
        await become(two, "123.456")
        await become(other, "123")
        channel = "#server-to-user-123.456"
        caller = Caller(server)
        assert (await asyncio.to_thread(caller.trigger, channel, "n", "{}")).text == "{}"
        assert await one.expect("n", channel) == "{}"
        assert await two.expect("n", channel) == "{}"
        spared = await asyncio.to_thread(
            caller.trigger, [channel], "n", "{}", socket_id=two.socket_id
        )
        assert spared.status == 200
        assert await one.expect("n", channel) == "{}"
        await two.silence()
        await other.silence()


@pytest.mark.parametrize("channel", ["#", "#control", "#server-to-user-", "#watching-7", "#x"])
def test_reserved_channels_take_nothing(server: Server, channel: str) -> None:
    assert Caller(server).trigger(channel, "n", "{}").status == 400


def test_pages_of_the_site_may_have_such_paths(server: Server) -> None:
    """Unless they are asked for with a key, or have the id of an application."""
    caller = Caller(server, "shop")
    for resource in ("events", "channels", "channels/pots"):
        path = caller.path(resource)
        assert "json" not in caller.send("GET", path).headers["content-type"]
        assert caller.send("GET", path, caller.sign("GET", path)).body["code"] in (404, 405)
        ours = Caller(server).path(resource)
        assert caller.send("GET", ours).body["code"] in (401, 405)
