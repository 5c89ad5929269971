"""Nodes join, leave, freeze and die at random: the redis registry does what a few dicts do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broadcasting.exceptions import LeaseLost
from broadcasting.protocol.errors import PresenceFull
from broadcasting.registry import Swept
from broadcasting.registry.redis_node import RedisNode
from tests.conftest import Valkey
from tests.floor.lease_contract import sweep_all
from tests.floor.registry_contract import member
from tests.floor.test_registry_redis import RedisStore

T = TypeVar("T")
CHANNELS = ["presence-a", "presence-b", "c"]
USERS = ["ada", "bob", "cleo"]
SOCKETS = ["1.1", "2.2", "3.3", "4.4", "5.5"]
NODES = 3

channels = st.sampled_from(CHANNELS)
nodes = st.integers(0, NODES - 1)
sockets = st.sampled_from(SOCKETS)
users = st.sampled_from(USERS)


@dataclass
class Room:
    """A channel as it should be: sockets in the order in which they joined, the newest last."""

    sockets: dict[str, tuple[int, str | None, Any]] = field(default_factory=dict)
    revision: int = 0

    def shown(self) -> dict[str, Any]:
        return {user: info for _, user, info in self.sockets.values() if user is not None}


class Nodes(RuleBasedStateMachine):
    valkey: Valkey

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = RedisStore.on(self.valkey)
        self.ends = [self.run(self.enlist()) for _ in range(NODES)]
        self.is_dead = [False] * NODES
        self.rooms: dict[str, Room] = defaultdict(Room)
        self.signed: dict[str, dict[str, int]] = defaultdict(dict)
        self.order = 0

    async def enlist(self) -> RedisNode:
        return self.store.node()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()

    # -- what nodes do ----------------------------------------------------------------------

    @rule(number=nodes, channel=channels, socket=sockets, user=users, info=st.integers(0, 2))
    def join(self, number: int, channel: str, socket: str, user: str, info: int) -> None:
        who = member(user, info) if channel.startswith("presence-") else None
        joining = self.ends[number].join("app", channel, socket, who, max_members=2)
        if self.is_dead[number]:
            with pytest.raises(LeaseLost):
                self.run(joining)
            return
        room = self.rooms[channel]
        before, was_occupied = room.shown(), bool(room.sockets)
        if who is not None and user not in before and len(before) >= 2:
            with pytest.raises(PresenceFull):
                self.run(joining)
            return
        joined = self.run(joining)
        room.sockets.pop(socket, None)
        room.sockets[socket] = (number, user if who else None, info)
        assert joined.first_socket == (not was_occupied)
        assert joined.first_of_user == (who is not None and user not in before)
        assert joined.count == len(room.sockets)
        self.check_revision(room, before, joined)

    @rule(number=nodes, channel=channels, socket=sockets)
    def leave(self, number: int, channel: str, socket: str) -> None:
        left = self.run(self.ends[number].leave("app", channel, socket))
        room = self.rooms[channel]
        if self.is_dead[number] or room.sockets.get(socket, (None,))[0] != number:
            assert (left.last_socket, left.last_of_user, left.revision) == (False, False, 0)
            assert left.count == len(room.sockets)
            return
        self.take(channel, socket, left)

    def take(self, channel: str, socket: str, left: Any) -> None:
        room = self.rooms[channel]
        before = room.shown()
        _, user, _ = room.sockets.pop(socket)
        after = room.shown()
        assert left.last_socket == (not room.sockets)
        assert left.last_of_user == (user in before and user not in after)
        assert left.count == len(room.sockets)
        changed = user is not None and before.get(user) != after.get(user)
        assert left.shown == (after.get(user) if changed and user else None)
        self.check_revision(room, before, left)
        if not room.sockets:
            del self.rooms[channel]

    def check_revision(self, room: Room, before: dict[str, Any], told: Any) -> None:
        assert told.order > self.order
        self.order = told.order
        assert told.previous == room.revision
        changed = before != room.shown()
        assert told.revision == (told.order if changed else room.revision)
        room.revision = told.revision

    @rule(number=nodes, socket=sockets, user=users)
    def sign_in(self, number: int, socket: str, user: str) -> None:
        signing = self.ends[number].sign_in("app", user, socket)
        if self.is_dead[number]:
            with pytest.raises(LeaseLost):
                self.run(signing)
            return
        assert self.run(signing) == (not self.signed[user])
        self.signed[user][socket] = number

    @rule(number=nodes, socket=sockets, user=users)
    def sign_out(self, number: int, socket: str, user: str) -> None:
        is_last = self.run(self.ends[number].sign_out("app", user, socket))
        held = self.signed[user].get(socket) == number and not self.is_dead[number]
        if held:
            del self.signed[user][socket]
        assert is_last == (held and not self.signed[user])

    # -- what becomes of them ---------------------------------------------------------------

    @precondition(lambda self: self.is_dead.count(False) > 1)
    @rule(number=nodes)
    def die(self, number: int) -> None:
        """A node freezes; the others sweep it."""
        end = self.ends[number]
        if self.is_dead[number] or not end._entered:
            return
        self.run(self.store.lapse(end))
        self.is_dead[number] = True
        alive = [
            other for other, is_dead in zip(self.ends, self.is_dead, strict=True) if not is_dead
        ]
        for one in self.run(sweep_all(*alive)):
            self.undo(number, one)
        for room in self.rooms.values():
            assert number not in {holder for holder, *_ in room.sockets.values()}
        for held in self.signed.values():
            assert number not in held.values()

    def undo(self, number: int, one: Swept) -> None:
        if one.left is None:
            assert one.user_id is not None
            assert self.signed[one.user_id].pop(one.socket_id) == number
            assert one.went_offline == (not self.signed[one.user_id])
            return
        assert one.channel is not None
        holder, user, _ = self.rooms[one.channel].sockets[one.socket_id]
        assert (holder, user) == (number, one.user_id)
        self.take(one.channel, one.socket_id, one.left)

    @rule(number=nodes)
    def renew(self, number: int) -> None:
        assert self.run(self.ends[number].renew()) == (not self.is_dead[number])
        self.is_dead[number] = False

    # -- what is so all the time ------------------------------------------------------------

    @invariant()
    def everybody_sees_the_same(self) -> None:
        self.run(self.look())

    async def look(self) -> None:
        end = self.ends[0]
        found = await end.channels("app")
        assert {name: said.sockets for name, said in found.items()} == {
            name: len(room.sockets) for name, room in self.rooms.items() if room.sockets
        }
        for channel in CHANNELS:
            room = self.rooms.get(channel) or Room()
            assert dict(await end.members("app", channel)) == room.shown()
            assert await end.revisions("app", [channel]) == [room.revision]
        assert await end.online("app", USERS) == {user for user in USERS if self.signed[user]}


def test_nodes_that_come_and_go_agree_with_a_few_dicts(valkey: Valkey) -> None:
    Nodes.valkey = valkey
    run_state_machine_as_test(
        Nodes,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
