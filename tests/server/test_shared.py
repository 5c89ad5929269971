"""A node whose registry is shared: what is asked of it may be late, or lost, at any moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.backplanes.control import Control, Members, read
from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol.messages import Signin
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.protocol.signing import authorization, user_text
from broadcasting.registry import Departure, Enlisted, get_registry
from broadcasting.server.lease import AT_ONCE
from broadcasting.server.node import Node, start_node
from tests.live import PATIENCE
from tests.server.fakes import APPLICATION, FakeSocket, connection
from tests.simulator.shared_registry import Enlistment, SharedRegistry
from tests.simulator.store import Store

ROOM = "presence-room"
ELSEWHERE = "another node"
HEARTBEAT = 0.05

WATCHED = replace(APPLICATION, enable_watchlist_events=True)


class Wire:
    """Asks at once; the answers may be kept back, and the store may be away."""

    def __init__(self) -> None:
        self.is_away = False
        self._kept_back: list[tuple[asyncio.Future[Any], Any]] | None = None

    def ask(self, operation: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        if self.is_away:
            answer.set_exception(RegistryUnavailable("away for a test"))
            return
        try:
            result = operation()
        except Exception as problem:
            answer.set_exception(problem)
        else:
            if self._kept_back is None:
                answer.set_result(result)
            else:
                self._kept_back.append((answer, result))

    def keep_back(self) -> None:
        """Do what is asked, and let nobody know."""
        self._kept_back = []

    def give_back(self) -> None:
        """Bring the answers, in their order."""
        kept, self._kept_back = self._kept_back or (), None
        for answer, result in kept:
            if not answer.done():
                answer.set_result(result)


class Guest:
    """One socket of the node, in memory."""

    def __init__(self, node: Node, user_id: str) -> None:
        self.node = node
        self.socket = FakeSocket()
        self.connection = connection(self.socket, f"{len(node.connections)}.1")
        self.connection.protocol.application = WATCHED
        self.member = Member(user_id=user_id)

    async def come(self) -> Guest:
        await self.node.connect(self.connection)
        return self

    async def enter(self) -> Guest:
        await self.node.subscriptions.enter(self.connection, ROOM, self.member)
        return self

    async def watch(self, *watched: str) -> Guest:
        user = {"id": self.member.user_id, "watchlist": watched}
        text = json.dumps(user)
        auth = authorization(WATCHED, user_text(self.connection.socket_id, text))
        await self.node.users.sign_in(self.connection, Signin(auth=auth, user_data=text))
        return self

    @property
    def last_seen(self) -> Any:
        """Return who came online, and who went, by the last word of it."""
        events = self.heard("watchlist_events")[-1]["events"]
        return {event["name"]: event["user_ids"] for event in events}

    async def go(self) -> None:
        self.connection.detach()
        await self.node.disconnect(self.connection)

    def heard(self, event: str) -> list[Any]:
        """Return the data of every frame of this event."""
        frames = [json.loads(text) for text in self.socket.texts]
        return [
            json.loads(frame["data"])
            for frame in frames
            if frame["event"].rpartition(":")[2] == event
        ]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(Enlistment, "heartbeat", HEARTBEAT)
    monkeypatch.setattr(Enlistment, "sweep_interval", 0.01)
    wire = Wire()
    registry = {
        "BACKEND": "tests.simulator.shared_registry.SharedRegistry",
        "OPTIONS": {"wire": lambda: wire},
    }
    with override_settings(BROADCASTING={"REGISTRY": registry}):
        yield wire


@pytest.fixture
async def node(wire: Wire) -> Node:
    return start_node()


@pytest.fixture
def store(node: Node) -> Store:
    registry = get_registry()
    assert isinstance(registry, SharedRegistry)
    registry.store.renew(ELSEWHERE)
    return registry.store


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.005)


def people(store: Store) -> set[str]:
    return set(store.members("app", ROOM))


async def test_who_is_cut_off_while_it_enters_leaves_no_ghost(
    node: Node, wire: Wire, store: Store
) -> None:
    guest = await Guest(node, "ada").come()
    wire.keep_back()
    entering = asyncio.create_task(guest.enter())
    await until(lambda: people(store) == {"ada"})
    entering.cancel()
    await asyncio.wait({entering})
    wire.give_back()
    await guest.go()
    assert not people(store)
    assert not node.rosters.topics()


async def test_a_member_who_went_unheard_is_missed_after_an_outage(
    node: Node, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.join(ELSEWHERE, "app", ROOM, "9.9", Member(user_id="bob"), None)
    ada = await (await Guest(node, "ada").come()).enter()
    mended = node.counters.rosters_mended
    store.leave(ELSEWHERE, "app", ROOM, "9.9")
    await until(lambda: node.counters.rosters_mended > mended)
    assert not ada.heard("member_removed")
    # It is asked once more when he has been missing for long enough; by nobody else.
    asked: list[str] = []

    async def be_away(app_id: str, channel: str) -> Roster:
        asked.append(channel)
        raise RegistryUnavailable("away for a test")

    with monkeypatch.context() as outage:
        outage.setattr(node.registry, "roster", be_away)
        await until(lambda: asked)
    await until(lambda: ada.heard("member_removed"))
    assert ada.heard("member_removed") == [{"user_id": "bob"}]


async def test_a_member_whose_id_holds_half_of_a_character_is_told_to_all(
    node: Node, store: Store
) -> None:
    told: list[Control] = []

    def hear(envelope: Envelope) -> None:
        if envelope.kind == "control":
            told.append(read(envelope))

    elsewhere = get_backplane().connect(hear)
    ada = await (await Guest(node, "ada").come()).enter()
    half = await (await Guest(node, "\ud800").come()).enter()
    assert half.heard("subscription_succeeded")
    await half.go()
    await until(lambda: len(told) == 3)
    await elsewhere.close()
    assert [(step.user_id, step.here) for step in told if isinstance(step, Members)] == [
        ("ada", True),
        ("\ud800", True),
        ("\ud800", False),
    ]
    assert [who["user_id"] for who in ada.heard("member_removed")] == ["\ud800"]


async def test_a_store_that_went_back_is_believed(node: Node, store: Store) -> None:
    """A replica that took over may not have heard of who came last, and counts from there."""
    ada = await (await Guest(node, "ada").come()).enter()
    heard = deepcopy(store.applications)
    store.join(ELSEWHERE, "app", ROOM, "9.9", Member(user_id="bob"), None)
    await until(lambda: ada.heard("member_added"))
    looked = node.rosters._kept["app", ROOM]
    await until(lambda: looked.roster is not None and looked.known == looked.roster.revision)
    store.applications = heard
    await until(lambda: ada.heard("member_removed"))
    assert ada.heard("member_removed") == [{"user_id": "bob"}]
    bob = await (await Guest(node, "bob").come()).enter()
    assert bob.heard("subscription_succeeded")
    assert len(ada.heard("member_added")) == 2


async def test_watchers_learn_what_was_lost_on_its_way(node: Node, store: Store) -> None:
    """Whatever became of what another node said: who is away does not stay online."""
    store.sign_in(ELSEWHERE, "app", "bob", "9.9")
    ada = await (await Guest(node, "ada").come()).watch("bob", "cleo")
    assert ada.last_seen == {"online": ["bob"], "offline": ["cleo"]}
    store.sign_out(ELSEWHERE, "app", "bob", "9.9")
    await until(lambda: ada.last_seen == {"offline": ["bob"]})
    store.sign_in(ELSEWHERE, "app", "cleo", "9.9")
    await until(lambda: ada.last_seen == {"online": ["cleo"]})
    assert len(ada.heard("watchlist_events")) == 3
    await ada.go()
    assert not node.users._told


async def test_a_node_that_stops_states_the_departures_that_it_was_given(
    node: Node, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is given them."""
    stated: list[str | None] = []
    assert isinstance(node.registry, Enlisted)
    take, were_given, may_go_on = node.registry.departures, asyncio.Event(), asyncio.Event()

    async def take_slowly() -> Mapping[str, Sequence[Departure]]:
        if given := await take():
            were_given.set()
            await may_go_on.wait()
        return given

    monkeypatch.setattr(node.reporter, "sure", lambda app, channel, who: stated.append(who))
    monkeypatch.setattr(node.registry, "departures", take_slowly)
    store.join(ELSEWHERE, "app", ROOM, "9.9", Member(user_id="bob"), None)
    store.leave(ELSEWHERE, "app", ROOM, "9.9")
    store.of("app").leaving.update({(ROOM, who): 0.0 for who in ("bob", None)})
    async with asyncio.timeout(PATIENCE):
        await were_given.wait()
    await node.stop()
    may_go_on.set()
    await node.settled(PATIENCE)
    assert set(stated) == {"bob", None}


async def test_a_node_that_owes_much_stays_alive(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease does not end while it writes who went during an outage."""
    assert isinstance(node.registry, Enlisted)
    renew, renewed, paid = node.registry.renew, [0], list[int]()

    async def count() -> bool:
        renewed[0] += 1
        return await renew()

    async def pay() -> None:
        await asyncio.sleep(2 * HEARTBEAT)
        paid.append(renewed[0])

    monkeypatch.setattr(node.registry, "renew", count)
    for _ in range(3 * AT_ONCE):
        node.lease.owe(pay)
    await until(lambda: len(paid) == 3 * AT_ONCE)
    assert len(set(paid)) == 3


async def test_a_departure_that_nobody_can_write_keeps_no_other(node: Node, store: Store) -> None:
    paid = list[None]()

    async def fail() -> None:
        raise ValueError("for a test")

    async def pay() -> None:
        paid.append(None)

    node.lease.owe(fail)
    node.lease.owe(pay)
    await until(lambda: paid)
    assert node.counters.failures == 1
