"""The redis registry when its server stands still, restarts or forgets, and when there is much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broadcasting.exceptions import LeaseLost, RegistryUnavailable
from broadcasting.redis_clients.pipelines import AT_ONCE
from broadcasting.registry import Cached, Left
from broadcasting.registry.redis import RedisRegistry
from broadcasting.registry.redis_node import SWEPT_AT_ONCE, RedisNode
from tests.conftest import Valkey, frozen
from tests.floor.lease_contract import sweep_all
from tests.floor.registry_contract import ROOM, member, plain
from tests.floor.test_registry_redis import RedisStore

QUICK = {"timeout": 0.3, "retry_delay": 0.05}
SHORT = {"heartbeat": 0.1, "lease": 0.5, "sweep": 0.05, **QUICK}


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[RedisStore]:
    store = RedisStore.on(valkey)
    yield store
    await store.close()


@pytest.fixture
async def own_store(own_valkey: Valkey) -> AsyncIterator[RedisStore]:
    store = RedisStore.on(own_valkey, **QUICK)
    yield store
    await store.close()


async def back(node: RedisNode) -> bool:
    """Return what renew() says as soon as the store answers again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await node.renew()
            except RegistryUnavailable:
                await asyncio.sleep(0.01)


async def test_a_store_that_stands_still_costs_one_timeout(
    own_valkey: Valkey, own_store: RedisStore
) -> None:
    node = own_store.node()
    await node.connect("app", "1.1")
    with frozen(own_valkey):
        with pytest.raises(RegistryUnavailable):
            await node.join("app", "c", "1.1")
        node._outage._probe_seconds = 60
        node._outage.failed(TimeoutError())
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(RegistryUnavailable):
                await node.join("app", "c", "1.1")
        assert time.monotonic() - began < QUICK["timeout"]


async def test_a_node_without_sockets_does_not_say_that_a_store_is_back(
    own_valkey: Valkey, own_store: RedisStore
) -> None:
    node = own_store.node()
    with frozen(own_valkey):
        with pytest.raises(RegistryUnavailable):
            await node.sweep()
        with pytest.raises(RegistryUnavailable):
            await node.renew()
    assert await back(node)


async def test_whoever_waits_in_line_is_told_as_well(
    own_valkey: Valkey, own_store: RedisStore
) -> None:
    node = own_store.node()
    await node.connect("app", "1.1")
    with frozen(own_valkey):
        many = (node.join("app", "c", f"{n}.1") for n in range(2 * AT_ONCE))
        results = await asyncio.gather(*many, return_exceptions=True)
    assert {type(result) for result in results} == {RegistryUnavailable}
    assert await back(node)


async def test_nobody_is_dead_because_the_store_stood_still(own_valkey: Valkey) -> None:
    store = RedisStore.on(own_valkey, **SHORT)
    nodes = [store.node(), store.node()]
    for number, node in enumerate(nodes):
        await node.join("app", "c", f"{number}.1")
    await sweep_all(*nodes)
    with frozen(own_valkey):
        await asyncio.sleep(2 * SHORT["lease"])  # a lease is real time here
    # The outage is over for whoever looks first: it must not take the other one out.
    async with asyncio.timeout(10):
        while True:
            try:
                assert await nodes[0].sweep() == ()
                break
            except RegistryUnavailable:
                await asyncio.sleep(0.01)
    assert [await back(node) for node in nodes] == [True, True]
    assert (await nodes[0].occupancy("app", "c")).sockets == 2
    await store.close()


async def test_a_node_that_stops_renewing_is_swept_in_time(own_valkey: Valkey) -> None:
    store = RedisStore.on(own_valkey, **SHORT)
    dead, alive = store.node(), store.node()
    await dead.join("app", "c", "1.1")
    await alive.connect("app", "2.1")
    async with asyncio.timeout(10):
        while not (swept := await alive.sweep()):
            assert await alive.renew()
            await asyncio.sleep(alive.sweep_interval)
    assert [one.socket_id for one in swept] == ["1.1"]
    with pytest.raises(LeaseLost):
        await dead.join("app", "c", "1.1")
    await store.close()


async def test_what_arrives_late_counts_no_more(store: RedisStore) -> None:
    """A server that was away may find it on a connection that was given up."""
    node = store.node()
    await node.join("app", "c", "1.1")
    late = node._calls.failures
    node._calls.failures += 1
    await node.leave("app", "c", "1.1")
    for name, *words in (
        ("join", b"c", "1.1", 0, "", 0),
        ("connect", "1.1", ""),
        ("sign_in", b"ada", "1.1"),
    ):
        answer = await node._ask("app", name, node._id, late, *words)
        assert answer in (-1, [-1])
    assert (await node.occupancy("app", "c")).sockets == 0
    await node.join("app", "c", "1.1")
    await node._ask("app", "leave", node._id, late, b"c", "1.1", 0)
    assert (await node.occupancy("app", "c")).sockets == 1


async def test_a_restart_that_loses_everything_is_noticed(
    own_valkey: Valkey, own_store: RedisStore
) -> None:
    node = own_store.node()
    before = await node.join(*ROOM, "1.1", member("ada"))
    own_valkey.server.stop()
    with pytest.raises(RegistryUnavailable):
        await node.join("app", "c", "1.1")
    own_valkey.server.start()
    own_store.client = own_valkey.server.client()
    assert not await back(node)
    after = await node.join(*ROOM, "1.1", member("ada"))
    assert after.first_of_user
    assert after.order > before.order


async def test_a_script_that_was_forgotten_is_told_again(store: RedisStore) -> None:
    node = store.node()
    for number in range(3):
        store.client.script_flush()
        await asyncio.gather(*(node.join("app", "c", f"{number}.{n}") for n in range(10)))
    assert (await node.occupancy("app", "c")).sockets == 30


async def test_answers_come_in_the_order_of_the_calls(store: RedisStore) -> None:
    node = store.node()
    calls: list[Any] = []
    for number in range(AT_ONCE):
        calls += [node.join("app", "c", "1.1"), node.leave("app", "c", "1.1")]
        calls += [node.occupancy("app", "c")] if number % 10 == 0 else []
    answers = await asyncio.gather(*calls)
    orders = [answer.order for answer in answers if hasattr(answer, "order")]
    assert orders == sorted(set(orders))
    assert {answer.last_socket for answer in answers if isinstance(answer, Left)} == {True}
    assert {answer.sockets for answer in answers if hasattr(answer, "sockets")} == {0}


async def test_a_caller_that_gives_up_leaves_the_others_their_answers(store: RedisStore) -> None:
    node = store.node()
    given_up = asyncio.ensure_future(node.join("app", "c", "1.1"))
    other = asyncio.ensure_future(node.join("app", "c", "1.2"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await other).count == 2  # it had been called, and was


async def test_many_sockets_are_swept_in_slices(store: RedisStore) -> None:
    dead, alive = store.node(), store.node()
    for start in range(0, 10_000, 1000):
        await asyncio.gather(
            *(dead.join("app", f"c-{n % 50}", f"{n}.1") for n in range(start, start + 1000))
        )
    await alive.connect("app", "alive")
    await store.lapse(dead)
    slices: list[int] = []
    vacated: list[str | None] = []
    while swept := await alive.sweep():
        slices.append(len(swept))
        vacated += [one.channel for one in swept if one.left and one.left.last_socket]
    assert slices == [SWEPT_AT_ONCE] * (10_000 // SWEPT_AT_ONCE)
    assert sorted(vacated, key=str) == sorted(f"c-{n}" for n in range(50))
    assert dict(await alive.channels("app")) == {}


async def test_channels_are_listed_in_portions(store: RedisStore) -> None:
    node = store.node()
    names = {f"room-{number}" for number in range(1500)}
    await asyncio.gather(*(node.join("app", name, "1.1") for name in names))
    await node.join("app", "rooms", "1.1")
    await node.join("app", "presence-room", "1.1", member("ada"))
    found = await node.channels("app", "room-")
    assert found.keys() == names
    assert {occupancy.sockets for occupancy in found.values()} == {1}
    assert (await node.channels("app", "presence-"))["presence-room"].users == 1
    assert len(await node.channels("app")) == 1502


async def test_an_application_that_nobody_is_in_is_not_looked_after(store: RedisStore) -> None:
    one, other = store.node(), store.node()
    await one.join("app", "c", "1.1")
    await one.resign()
    await sweep_all(other)
    await store.pass_grace()
    assert await other.departures()
    assert await sweep_all(other) == []
    assert await other._all_applications() == []
    await one.join("app", "c", "1.1")
    assert await other._all_applications() == ["app"]
    store.client.delete(f"{{{store.prefix}}}:apps")
    assert await one.renew()
    assert await other._all_applications() == ["app"]


async def test_a_lease_ends_where_a_node_has_had_nothing_for_a_while(store: RedisStore) -> None:
    node, other = store.node(), store.node()
    await other.connect("other", "2.1")
    for _ in range(3):  # and begins again
        await node.join("app", "c", "1.1")
        assert await node.renew()
        await node.leave("app", "c", "1.1")
        await node.renew()
        assert node._entered == {"app"}
        assert await node.renew()
        assert node._entered == set()
        assert store.keys("leases") == [f"{{{store.prefix}:other}}:leases".encode()]
        assert await node.renew()
        assert await sweep_all(other) == []


async def test_who_comes_while_a_lease_is_given_back_has_another(store: RedisStore) -> None:
    node, other = store.node(), store.node()
    await node.connect("app", "1.1")
    await node.disconnect("app", "1.1")
    for _ in range(3):
        await node.renew()
        renewed, joined = await asyncio.gather(node.renew(), node.join("app", "c", "1.1"))
        assert renewed
        assert joined.first_socket
        assert await node.renew()
        await sweep_all(other)
        assert (await node.leave("app", "c", "1.1")).last_socket


class TestEverybodyElse:
    """Processes that hold no sockets, and code on any loop or thread."""

    async def test_they_see_what_nodes_entered(self, store: RedisStore) -> None:
        node, shared = store.node(), store.registry
        joined = await node.join(*ROOM, "1.1", member("ada", {"n": 1}))
        await node.connect("app", "1.1")
        await node.sign_in("app", "ada", "1.1")
        assert dict(await shared.members(*ROOM)) == {"ada": {"n": 1}}
        assert (await shared.roster(*ROOM)).revision == joined.revision
        assert (await shared.occupancy(*ROOM)).users == 1
        assert list(await shared.channels("app")) == [ROOM[1]]
        assert await shared.connections("app") == 1
        assert await shared.online("app", ["ada", "bob"]) == {"ada"}

    def test_a_thread_without_a_loop_may_ask_in_one_of_its_own(self, store: RedisStore) -> None:
        for _ in range(3):
            assert asyncio.run(store.registry.connections("app")) == 0

    async def test_they_enter_no_sockets(self, store: RedisStore) -> None:
        shared = store.registry
        for entering in (
            shared.join("app", "c", "1.1"),
            shared.leave("app", "c", "1.1"),
            shared.connect("app", "1.1"),
            shared.disconnect("app", "1.1"),
            shared.sign_in("app", "ada", "1.1"),
            shared.sign_out("app", "ada", "1.1"),
        ):
            with pytest.raises(TypeError, match="enlist"):
                await entering

    async def test_they_remember_in_either_colour(self, store: RedisStore) -> None:
        shared = store.registry
        shared.remember("app", "cache-a", Cached(frame="ä", id="1", ttl=60))
        await shared.aremember("app", "cache-b", Cached(frame="b", id="2", ttl=60))
        shared.remember("app", "cache-c", Cached(frame="c", id="3", ttl=0))
        await shared.aremember("app", "cache-a", Cached(frame="old", id="0", ttl=0.0001))
        kept = [await store.node().recall("app", f"cache-{name}") for name in "abc"]
        assert [one and (one.frame, one.id) for one in kept] == [("ä", "1"), ("b", "2"), None]

    async def test_a_claim_ends_by_itself(self, store: RedisStore) -> None:
        assert await store.registry.claim("app", "key", 0.01)
        async with asyncio.timeout(10):
            while not await store.registry.claim("app", "key", 60):
                await asyncio.sleep(0.005)
        await store.registry.release("app", "key")

    async def test_a_store_that_is_away_is_told(self, own_valkey: Valkey) -> None:
        shared = RedisRegistry({"url": own_valkey.url, **QUICK})
        own_valkey.server.stop()
        with pytest.raises(RegistryUnavailable):
            shared.remember("app", "cache-a", Cached(frame="a", id="1", ttl=60))
        with pytest.raises(RegistryUnavailable):
            await shared.connections("app")
        own_valkey.server.start()


async def test_leaving_twice_is_harmless(store: RedisStore) -> None:
    node = store.node()
    await node.join(*ROOM, "1.1", member("ada"))
    answers = await asyncio.gather(*(node.leave(*ROOM, "1.1") for _ in range(3)))
    assert [answer.last_of_user for answer in answers] == [True, False, False]
    assert plain(answers[1]) == Left(last_socket=False)


@pytest.mark.parametrize("what", ["join", "leave", "connect", "sign_in"])
async def test_a_store_that_lost_what_was_written_is_filled_anew(
    own_valkey: Valkey, own_store: RedisStore, what: str
) -> None:
    """As when a replica takes over that had not heard of the last thing."""
    node, client = own_store.node(), own_valkey.server.client()
    await node.join("app", "c", "1.1")
    await node.join("app", "c", "2.2")
    assert await node.renew()
    heard = {key: client.dump(key) for key in client.scan_iter()}
    match what:
        case "join":
            await node.join("app", "c", "3.3")
        case "leave":
            await node.leave("app", "c", "2.2")
        case "connect":
            await node.connect("app", "1.1")
        case "sign_in":
            await node.sign_in("app", "7", "1.1")
    for key in {*client.scan_iter()} - heard.keys():
        client.delete(key)
    for key, kept in heard.items():
        client.restore(key, 0, kept, replace=True)
    assert not await node.renew()
    await node.join("app", "c", "1.1")
    await sweep_all(node)
    # What was lost is not there, and what should be gone is not either.
    assert (await node.occupancy("app", "c")).sockets == 1
    assert await node.renew()
