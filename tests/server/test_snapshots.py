"""Newcomers of a presence channel, told together and one by one: nobody is missed or doubled."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from broadcasting.backplanes.control import Revoke
from broadcasting.protocol.errors import AccessRevoked, PresenceFull
from broadcasting.protocol.grants import Grant
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server import snapshots
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.node import Node, get_node
from tests.server.fakes import FakeSocket, connection
from tests.server.slow import SlowRegistry

ROOM = "presence-room"
SECRET = '{"event":"secret","data":"{}"}'
TOPIC = ("app", ROOM)


class Guest:
    """One socket in memory, and who it thinks is in the room."""

    def __init__(self, node: Node, number: int, user_id: str | None = None) -> None:
        self.node = node
        self.socket = FakeSocket()
        self.connection: Connection = connection(self.socket, f"{number}.1")
        self.member = Member(user_id=user_id or str(number), user_info={"number": number})
        self.grant = Grant(user_id=self.member.user_id)

    async def enter(self) -> None:
        self.node.access.know(self.connection, self.grant)
        await self.node.subscriptions.enter(self.connection, ROOM, self.member, self.grant)

    async def come(self) -> None:
        await self.node.connect(self.connection)
        await self.enter()

    async def go(self) -> None:
        self.connection.detach()
        await self.node.disconnect(self.connection)

    @property
    def frames(self) -> list[tuple[str, Any]]:
        """What was told of the room, in its order."""
        messages = [json.loads(text) for text in self.socket.texts]
        return [
            (message["event"].rpartition(":")[2], json.loads(message["data"]))
            for message in messages
            if message.get("channel") == ROOM and isinstance(message["data"], str)
        ]

    @property
    def members(self) -> set[str]:
        """Who is in, by what it was told. Fails for whoever comes twice, or goes unheard of."""
        members: set[str] = set()
        for number, (event, data) in enumerate(self.frames):
            assert (event == "subscription_succeeded") == (number == 0)
            match event:
                case "subscription_succeeded":
                    members = set(data["presence"]["ids"])
                case "member_added":
                    assert data["user_id"] not in members
                    members.add(data["user_id"])
                case _:
                    members.remove(data["user_id"])
        return members


@pytest.fixture(params=["at once", "together", "by a registry that waits"])
async def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(snapshots, "LARGE", 0 if request.param == "together" else 1_000)
    node = get_node()
    waits = request.param == "by a registry that waits"
    node.registry = SlowRegistry({}) if waits else MemoryRegistry({})
    return node


@pytest.fixture
async def herd(node: Node) -> list[Guest]:
    """Return guests that are in already."""
    guests = [Guest(node, number) for number in range(3)]
    for guest in guests:
        await guest.come()
    return guests


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_who_come_in_one_turn_know_one_another(node: Node, herd: list[Guest]) -> None:
    guests = [Guest(node, number) for number in range(10, 20)]
    await asyncio.gather(*(guest.come() for guest in guests))
    await settle()
    everybody = {guest.member.user_id for guest in (*herd, *guests)}
    for guest in (*herd, *guests):
        assert guest.members == everybody


async def test_two_sockets_of_one_user_are_one_member(node: Node, herd: list[Guest]) -> None:
    twins = [Guest(node, 10, "twin"), Guest(node, 11, "twin")]
    await asyncio.gather(*(twin.come() for twin in twins))
    await twins[0].go()
    await settle()
    assert [guest.members for guest in (*herd, twins[1])] == [{"0", "1", "2", "twin"}] * 4
    assert [event for event, _ in herd[0].frames].count("member_removed") == 0


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_cut_off_while_it_waits_leaves_no_ghost(
    node: Node, herd: list[Guest], turns: int
) -> None:
    gone, stays = Guest(node, 10), Guest(node, 11)
    coming = asyncio.create_task(gone.come())
    staying = asyncio.create_task(stays.come())
    for _ in range(turns):
        await asyncio.sleep(0)
    coming.cancel()
    await asyncio.wait([coming, staying])
    await gone.go()
    await settle()
    for guest in (*herd, stays):
        assert guest.members == {"0", "1", "2", "11"}
    assert set(await node.registry.members(*TOPIC)) == {"0", "1", "2", "11"}
    assert node.hub.count(TOPIC) == 4


@pytest.mark.parametrize("turns", range(1, 9))
async def test_who_is_taken_out_while_it_waits_hears_nothing_more(
    node: Node, herd: list[Guest], turns: int
) -> None:
    gone, stays = Guest(node, 10), Guest(node, 11)
    coming = [asyncio.create_task(guest.come()) for guest in (gone, stays)]
    for _ in range(turns):
        await asyncio.sleep(0)
    node.access.revoke("app", Revoke(user_id="10", channel=ROOM, at=0))
    told = len(gone.socket.texts)
    results = await asyncio.gather(*coming, return_exceptions=True)
    await settle()
    node.hub.send(TOPIC, Frame(SECRET))
    await settle()
    assert SECRET not in gone.socket.texts
    # Not in, and told so: by the order itself, or by the answer to the question.
    refused = isinstance(results[0], Exception)
    assert refused or "subscription_error" in gone.socket.texts[-1]
    assert refused or len(gone.socket.texts) == told
    assert stays.members == herd[0].members == {"0", "1", "2", "11"}
    assert set(await node.registry.members(*TOPIC)) == {"0", "1", "2", "11"}


async def test_a_full_channel_takes_as_many_as_it_may(node: Node, herd: list[Guest]) -> None:
    guests = [Guest(node, number) for number in range(10, 120)]
    results = await asyncio.gather(*(guest.come() for guest in guests), return_exceptions=True)
    await settle()
    refused = [guest for guest, result in zip(guests, results, strict=True) if result is not None]
    assert all(isinstance(result, PresenceFull) for result in results if result is not None)
    assert len(refused) == 3 + 110 - 100
    inside = {guest.member.user_id for guest in (*herd, *guests) if guest not in refused}
    for guest in (*herd, *guests):
        assert guest.members == (set() if guest in refused else inside)


async def test_members_that_cannot_be_read_let_nobody_in(
    node: Node, herd: list[Guest], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(app_id: str, channel: str) -> Roster:
        raise RuntimeError("mine")

    guests = [Guest(node, 10), Guest(node, 11)]
    with monkeypatch.context() as patch:
        patch.setattr(node.registry, "roster", failing)
        results = await asyncio.gather(*(guest.come() for guest in guests), return_exceptions=True)
        await settle()
    assert [str(result) for result in results] == ["mine", "mine"]
    assert [guest.frames for guest in guests] == [[], []]
    assert herd[0].members == {"0", "1", "2"} == set(await node.registry.members(*TOPIC))
    await guests[0].enter()
    await settle()
    assert guests[0].members == herd[0].members == {"0", "1", "2", "10"}


async def test_a_node_that_stops_tells_nobody_anything_more(node: Node, herd: list[Guest]) -> None:
    guest = Guest(node, 10)
    coming = asyncio.create_task(guest.come())
    await asyncio.sleep(0)
    await node.stop()
    await asyncio.wait([coming])
    await settle()
    await guest.go()
    assert guest.socket.close_code == 4200
    assert set(await node.registry.members(*TOPIC)) == {"0", "1", "2"}


async def test_who_asks_again_is_told_everything_once(node: Node, herd: list[Guest]) -> None:
    newcomer, curious = Guest(node, 10), herd[0]
    coming = asyncio.create_task(newcomer.come())
    newer = Member(user_id="0", user_info="newer")
    asking = asyncio.create_task(node.subscriptions.enter_again(curious.connection, ROOM, newer))
    await asyncio.gather(coming, asking)
    await settle()
    answers = [n for n, (event, _) in enumerate(curious.frames) if event.endswith("succeeded")]
    told = curious.frames[answers[-1] :]
    assert told[0][1]["presence"]["hash"]["0"] == "newer"
    members = [*told[0][1]["presence"]["ids"], *(data["user_id"] for _, data in told[1:])]
    assert sorted(members) == ["0", "1", "10", "2"]


async def test_an_old_answer_is_found_out_even_if_the_registry_took_its_time(
    herd: list[Guest], node: Node
) -> None:
    """Whoever was told of the newcomer meanwhile is told that it went."""
    guest = Guest(node, 10)
    guest.grant = Grant(user_id="10", at=1)
    await node.connect(guest.connection)
    node.access.know(guest.connection, guest.grant)
    with pytest.raises(AccessRevoked):
        await guest.enter()
    await settle()
    assert herd[0].members == {"0", "1", "2"} == set(await node.registry.members(*TOPIC))
