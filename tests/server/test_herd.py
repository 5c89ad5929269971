"""A herd that comes or dies: the work is counted, never timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from broadcasting.protocol.messages import write_json
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server import snapshots
from broadcasting.server.frames import Frame
from broadcasting.server.node import Node, get_node
from tests.server.fakes import APPLICATION
from tests.server.test_hot_path import Profile
from tests.server.test_snapshots import TOPIC, Guest, settle

HERD = 300
A_TURN = 50
"""Sockets that come or go in one turn of the loop."""

ROOMY = replace(APPLICATION, max_presence_members_per_channel=10 * HERD)


class Work:
    """How often something is written or built."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = Counter[str]()
        joined = Roster._joined

        def writing(info: Any) -> str:
            self.done["infos"] += 1
            return write_json(info)

        def joining(roster: Roster) -> str:
            self.done["answers"] += 1
            return joined(roster)

        class Answer(Frame):
            __slots__ = ()

            def __init__(inner, text: str) -> None:  # noqa: N805
                self.done["frames"] += 1
                super().__init__(text)

        monkeypatch.setattr("broadcasting.protocol.roster.write_json", writing)
        monkeypatch.setattr(Roster, "_joined", joining)
        monkeypatch.setattr("broadcasting.server.snapshots.Frame", Answer)


@pytest.fixture
async def node() -> Node:
    node = get_node()
    node.registry = MemoryRegistry({})
    return node


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def crowd(node: Node, users: int) -> list[Guest]:
    guests = [Guest(node, number, f"user {number % users}") for number in range(HERD)]
    for guest in guests:
        guest.connection.protocol.application = ROOMY
    return guests


async def come(guests: list[Guest]) -> None:
    for start in range(0, HERD, A_TURN):
        await asyncio.gather(*(guest.come() for guest in guests[start : start + A_TURN]))
    await settle()


async def test_members_who_come_are_written_once_and_told_once_a_turn(
    node: Node, work: Work
) -> None:
    guests = crowd(node, HERD)
    await come(guests)
    everybody = {guest.member.user_id for guest in guests}
    assert all(guest.members == everybody for guest in guests)
    # The first few are answered at once.
    answers = snapshots.LARGE + HERD // A_TURN
    assert work.done == {"infos": HERD, "answers": answers, "frames": answers}


async def test_more_sockets_of_the_same_users_share_what_was_built(node: Node, work: Work) -> None:
    guests = crowd(node, 10)
    for guest in guests:
        guest.member = replace(guest.member, user_info=guest.member.user_id)
    await come(guests)
    assert work.done == {"infos": HERD, "answers": 10, "frames": 10}
    last = [guest.socket.messages[-1] for guest in guests[-100:]]
    assert len({id(message) for message in last}) == 1


async def test_a_herd_that_dies_writes_no_member_anew(node: Node, work: Work) -> None:
    guests, stays = crowd(node, HERD // 2), Guest(node, HERD, "stays")
    await come(guests)
    stays.connection.protocol.application = ROOMY
    await stays.come()
    work.done.clear()
    await asyncio.gather(*(guest.go() for guest in guests))
    await settle()
    assert work.done == {}
    assert stays.members == {"stays"}
    assert [event for event, _ in stays.frames].count("member_removed") == HERD // 2
    assert node.hub.count(TOPIC) == 1


@pytest.mark.parametrize("large", [0, 10 * HERD])
async def test_a_join_costs_as_much_whoever_is_there(
    node: Node, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(snapshots, "LARGE", large)
    node.lag.stop()  # it looks when its time has come
    calls: list[Counter[str]] = []
    for number, members in enumerate((10, HERD)):
        for member in range(members):
            name = Member(user_id=f"elsewhere {member}", user_info={"number": member})
            await node.registry.join(*TOPIC, f"{member}.9", name)
        guest = Guest(node, number)
        await node.connect(guest.connection)
        guest.connection.protocol.application = ROOMY
        # Signals forget receivers that are gone, and the loop looks around, when they like.
        with Profile("django.dispatch.", "asyncio.", "selectors") as profile:
            await guest.enter()
        assert len(guest.members) == members + 1
        calls.append(profile.calls)
        await guest.go()
    assert calls[0] == calls[1]
