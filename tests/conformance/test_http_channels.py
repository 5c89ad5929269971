"""5.13: what the HTTP API tells of channels, and beside the events that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.caller import Caller
from tests.conformance.peer import Peer, join
from tests.live import Server

DIGITS = ("1001", "digits-key", "digits-secret")
COUNTS = "user_count,subscription_count"


@pytest.fixture
async def crowd(server: Server) -> AsyncIterator[list[Peer]]:
    """Two sockets of ada and one of bob in a presence channel, two in a public one."""
    async with join(server) as one, join(server) as two, join(server) as three:
        await one.enter("presence-c", "ada", {"name": "Ada"})
        await two.enter("presence-c", "ada", {"name": "Ada"})
        await three.enter("presence-c", "bob")
        await one.expect("pusher_internal:member_added", "presence-c")
        await two.expect("pusher_internal:member_added", "presence-c")
        await one.subscribe("public")
        await two.subscribe("public")
        yield [one, two, three]


def body(caller: Caller, resource: str, **parameters: str) -> Any:
    answer = caller.get(resource, **parameters)
    assert answer.status == 200, answer
    assert int(answer.headers["content-length"]) == len(answer.text.encode())
    return answer.body


async def test_nobody_anywhere_is_an_object(server: Server) -> None:
    """189."""
    assert Caller(server, *DIGITS).get("channels").text == '{"channels":{}}'


async def test_occupied_channels(server: Server, crowd: list[Peer]) -> None:
    """189, 190, 192, 194."""
    caller = Caller(server)
    assert body(caller, "channels") == {"channels": {"presence-c": {}, "public": {}}}
    assert body(caller, "channels/") == {"channels": {"presence-c": {}, "public": {}}}
    assert body(caller, "channels", filter_by_prefix="pub") == {"channels": {"public": {}}}
    assert body(caller, "channels", filter_by_prefix="x") == {"channels": {}}
    assert body(caller, "channels", filter_by_prefix="#") == {"channels": {}}
    assert body(caller, "channels", filter_by_prefix="presence-", info="user_count") == {
        "channels": {"presence-c": {"user_count": 2}}
    }
    assert body(caller, "channels", info="subscription_count") == {
        "channels": {
            "presence-c": {"subscription_count": 3},
            "public": {"subscription_count": 2},
        }
    }
    assert body(caller, "channels", filter_by_prefix="presence-c", info=COUNTS) == {
        "channels": {"presence-c": {"user_count": 2, "subscription_count": 3}}
    }
    assert body(Caller(server, *DIGITS), "channels") == {"channels": {}}  # 218


@pytest.mark.parametrize(
    "parameters",
    [
        {"info": "user_count"},
        {"info": "user_count", "filter_by_prefix": "presence"},
        {"info": "user_count", "filter_by_prefix": "private-"},
        {"info": "cache"},
        {"info": "nothing"},
        {"info": "subscription_count,nothing"},
    ],
)
def test_attributes_that_do_not_apply(server: Server, parameters: dict[str, str]) -> None:
    """190."""
    answer = Caller(server).get("channels", **parameters)
    assert (answer.status, answer.body["code"]) == (400, 400)


async def test_one_channel(server: Server, crowd: list[Peer]) -> None:
    """191, 192, 194; percent-encoded or not."""
    caller = Caller(server)
    assert body(caller, "channels/public") == {"occupied": True}
    assert body(caller, "channels/vacant") == {"occupied": False}
    assert body(caller, "channels/public", info="subscription_count") == {
        "occupied": True,
        "subscription_count": 2,
    }
    for name in ("presence-c", "presence%2Dc"):
        assert body(caller, f"channels/{name}", info=COUNTS) == {
            "occupied": True,
            "user_count": 2,
            "subscription_count": 3,
        }
    assert body(caller, "channels/presence-vacant", info=COUNTS) == {
        "occupied": False,
        "user_count": 0,
        "subscription_count": 0,
    }


@pytest.mark.parametrize("name", ["a=b,c;d@e.f_g-h", "presence-=@,.;"])
async def test_odd_names_in_a_path(server: Server, name: str) -> None:
    """173, 191: signed as they are, sent escaped or not."""
    caller = Caller(server)
    async with join(server) as peer:
        if name.startswith("presence-"):
            await peer.enter(name, "1")
        else:
            await peer.subscribe(name)
        path = caller.path(f"channels/{name}")
        escaped = path.replace("=", "%3D").replace(",", "%2c").replace(";", "%3B")
        for signed in (path, escaped):
            for sent in (path, escaped):
                answer = caller.send("GET", sent, caller.sign("GET", signed))
                expected = 401 if sent == path and signed == escaped else 200
                assert answer.status == expected, (signed, sent, answer)


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("public", "user_count"),
        ("private-c", "user_count"),
        ("public", "cache"),
        ("presence-c", "cache"),
        ("public", "occupied"),
        ("a%20b", ""),
        ("a%2Fb", ""),
        ("x" * 201, ""),
        ("%23server-to-user-1", ""),
    ],
)
def test_a_channel_that_is_none_or_cannot_have_that(server: Server, name: str, info: str) -> None:
    """192."""
    answer = Caller(server).get(f"channels/{name}", info=info)
    assert (answer.status, answer.body["code"]) == (400, 400)


@pytest.mark.parametrize("kind", ["cache-", "private-cache-", "presence-cache-"])
async def test_what_a_cache_channel_keeps(server: Server, kind: str) -> None:
    """Read over HTTP, while nobody is there too."""
    caller = Caller(server)
    name = f"{kind}api-{server.kind}"
    assert body(caller, f"channels/{name}", info="cache") == {"occupied": False, "cache": None}
    assert caller.trigger(name, "n", '{"é": 1}').status == 200
    found = body(caller, f"channels/{name}", info="cache,subscription_count")
    cached = found.pop("cache")
    assert found == {"occupied": False, "subscription_count": 0}
    assert cached.keys() == {"data", "ttl"}
    assert cached["data"] == '{"é": 1}'
    assert isinstance(cached["ttl"], int)
    assert 0 < cached["ttl"] <= 1800
    other = Caller(server, *DIGITS)
    assert body(other, f"channels/{name}", info="cache")["cache"] is None  # 218


async def test_users_of_a_channel(server: Server, crowd: list[Peer]) -> None:
    """193, 194."""
    caller = Caller(server)
    assert body(caller, "channels/presence-c/users") == {"users": [{"id": "ada"}, {"id": "bob"}]}
    assert body(caller, "channels/presence-vacant/users") == {"users": []}
    assert body(caller, "channels/presence-c/users", with_user_info="1") == {
        "users": [{"id": "ada", "user_info": {"name": "Ada"}}, {"id": "bob", "user_info": None}]
    }
    for name in ("public", "private-c", "cache-c"):
        assert caller.get(f"channels/{name}/users").status == 400


async def test_ids_of_users_are_strings(server: Server) -> None:
    """193: whatever they were signed as."""
    async with join(server) as peer:
        await peer.enter("presence-numbers", 7)
        found = body(Caller(server), "channels/presence-numbers/users")
        assert found == {"users": [{"id": "7"}]}


async def test_connections_are_counted_whatever_they_joined(
    server: Server, crowd: list[Peer]
) -> None:
    """262."""
    async with join(server):
        assert body(Caller(server), "connections") == {"connections": 4}
    assert body(Caller(server, *DIGITS), "connections") == {"connections": 0}


async def test_counts_beside_an_event(server: Server, crowd: list[Peer]) -> None:
    """181: one entry for each channel, what applies in it."""
    trigger = Caller(server).trigger
    names = ["presence-c", "public", "vacant", "public", "#server-to-user-7"]
    answer = trigger(names, "n", "{}", info=COUNTS)
    assert (answer.status, answer.body) == (
        200,
        {
            "channels": {
                "presence-c": {"user_count": 2, "subscription_count": 3},
                "public": {"subscription_count": 2},
                "vacant": {"subscription_count": 0},
                "#server-to-user-7": {},
            }
        },
    )
    assert trigger("vacant", "n", "{}", info="user_count").body == {"channels": {"vacant": {}}}
    assert trigger("vacant", "n", "{}", info=["user_count"]).body == {"channels": {"vacant": {}}}
    assert trigger("vacant", "n", "{}", info="").text == "{}"
    assert trigger("vacant", "n", "{}", info=None).text == "{}"


@pytest.mark.parametrize("info", ["nothing", "cache", 7, {}, [7], "user_count,,x"])
async def test_attributes_that_nobody_knows(server: Server, info: Any) -> None:
    """181, 182: and nothing is published."""
    async with join(server) as peer:
        await peer.subscribe("refused")
        caller = Caller(server)
        assert caller.trigger("refused", "n", "{}", info=info).status == 400
        item = {"name": "n", "channel": "refused", "data": "{}"}
        batch = {"batch": [item, {**item, "info": info}]}
        assert caller.post(batch, "batch_events").status == 400
        await peer.silence()


async def test_counts_beside_a_batch(server: Server, crowd: list[Peer]) -> None:
    """187: as long as the batch and in its order, empty where nothing was asked."""
    item = {"name": "n", "data": "{}"}
    batch = [
        {**item, "channel": "public"},
        {**item, "channel": "public", "info": "subscription_count"},
        {**item, "channel": "presence-c", "info": COUNTS},
        {**item, "channel": "public", "info": "user_count"},
        {**item, "channel": "#server-to-user-7", "info": COUNTS},
    ]
    answer = await asyncio.to_thread(Caller(server).post, {"batch": batch}, "batch_events")
    assert answer.status == 200
    assert answer.body == {
        "batch": [
            {},
            {"subscription_count": 2},
            {"user_count": 2, "subscription_count": 3},
            {},
            {},
        ]
    }
