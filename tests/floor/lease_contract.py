"""What every registry promises that nodes share. Subclass it and give a ``store``."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import pytest

from broadcasting.exceptions import LeaseLost
from broadcasting.protocol.errors import OverCapacity, PresenceFull
from broadcasting.registry import Cached, Departure, Enlisted, Left, Swept
from tests.floor.registry_contract import ROOM, member, plain, told


class SharedStore(ABC):
    """What nodes share, and what may happen to it and to them."""

    @abstractmethod
    def node(self) -> Enlisted:
        """Return the end of another node."""

    @abstractmethod
    async def lapse(self, *nodes: Enlisted) -> None:
        """Let so much time go by that the leases of these are over; the others renewed theirs."""

    @abstractmethod
    async def be_away(self) -> None:
        """Be out of reach for longer than a lease, for everybody."""

    @abstractmethod
    async def flush(self) -> None:
        """Forget everything."""

    @abstractmethod
    async def pass_grace(self) -> None:
        """Let so much time go by that who is away now stays away, as far as anybody is told."""

    @abstractmethod
    async def is_empty(self) -> bool:
        """Whether nothing is kept of anybody."""


async def sweep_all(*nodes: Enlisted) -> list[Swept]:
    """Let nodes sweep, all at once, until there is nothing more."""
    found: list[Swept] = []
    while some := [
        one for part in await asyncio.gather(*(n.sweep() for n in nodes)) for one in part
    ]:
        found += some
    return found


async def departures_of(*nodes: Enlisted) -> list[Departure]:
    answers = await asyncio.gather(*(node.departures() for node in nodes))
    return [one for answer in answers for one in answer.get("app", ())]


def lefts(swept: Sequence[Swept]) -> list[Left]:
    return [one.left for one in swept if one.left is not None]


class LeaseContract(ABC):
    @pytest.fixture
    @abstractmethod
    def store(self) -> SharedStore:
        """Return an empty store."""

    # -- who is alive -----------------------------------------------------------------------

    async def test_a_dead_node_is_swept_once_by_racing_survivors(self, store: SharedStore) -> None:
        dead, *alive = store.node(), store.node(), store.node()
        await dead.connect("app", "1.1")
        await dead.join("app", "c", "1.1")
        await dead.join(*ROOM, "1.1", member("ada"))
        await dead.join(*ROOM, "1.2", member("ada"))
        await dead.join(*ROOM, "1.3", member("bob"))
        await dead.sign_in("app", "ada", "1.1")
        await alive[0].connect("app", "2.1")
        await alive[0].join(*ROOM, "2.1", member("bob"))
        await store.lapse(dead)
        swept = await sweep_all(*alive)
        assert Counter((one.socket_id, one.channel, one.user_id) for one in swept) == {
            ("1.1", None, None): 1,
            ("1.1", "c", None): 1,
            ("1.1", ROOM[1], "ada"): 1,
            ("1.2", ROOM[1], "ada"): 1,
            ("1.3", ROOM[1], "bob"): 1,
            ("1.1", None, "ada"): 1,
        }
        assert {one.app_id for one in swept} == {"app"}
        assert [one.channel for one in swept if one.left and one.left.last_socket] == ["c"]
        assert [one.user_id for one in swept if one.left and one.left.last_of_user] == ["ada"]
        assert [one.user_id for one in swept if one.went_offline] == ["ada"]
        assert (await alive[1].occupancy(*ROOM)).sockets == 1
        assert dict(await alive[1].members(*ROOM)) == {"bob": None}
        assert await alive[1].connections("app") == 1
        assert await alive[1].online("app", ["ada"]) == frozenset()
        assert list(await alive[1].channels("app")) == [ROOM[1]]
        assert await sweep_all(*alive) == []

    async def test_who_renews_is_not_swept(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        for number, node in enumerate((one, other)):
            await node.join("app", "c", f"{number}.1")
            assert await node.renew()
        assert await sweep_all(one, other) == []
        assert (await one.occupancy("app", "c")).sockets == 2

    async def test_who_has_entered_nothing_has_nothing_to_lose(self, store: SharedStore) -> None:
        node = store.node()
        assert await node.renew()
        assert await node.sweep() == ()
        assert dict(await node.departures()) == {}
        await node.resign()

    async def test_who_is_late_but_not_swept_goes_on(self, store: SharedStore) -> None:
        late, other = store.node(), store.node()
        await late.join("app", "c", "1.1")
        await other.connect("app", "2.1")
        await store.lapse(late)
        assert await late.renew()
        assert await sweep_all(late, other) == []
        assert plain(await late.leave("app", "c", "1.1")) == Left(last_socket=True)

    async def test_a_frozen_node_comes_back_as_a_new_one(self, store: SharedStore) -> None:
        frozen, other = store.node(), store.node()
        await frozen.join(*ROOM, "1.1", member("ada"))
        await other.join(*ROOM, "2.1", member("bob"))
        await store.lapse(frozen)
        assert len(await sweep_all(other)) == 1
        for entering in (
            frozen.join(*ROOM, "1.1", member("ada")),
            frozen.connect("app", "1.1"),
            frozen.sign_in("app", "ada", "1.1"),
        ):
            with pytest.raises(LeaseLost):
                await entering
        assert plain(await frozen.leave(*ROOM, "1.1")) == Left(last_socket=False, count=1)
        assert set(await other.members(*ROOM)) == {"bob"}
        assert not await frozen.renew()
        assert await frozen.renew()
        assert (await frozen.join(*ROOM, "1.1", member("ada"))).first_of_user
        assert await frozen.renew()
        assert await sweep_all(frozen, other) == []
        assert set(await other.members(*ROOM)) == {"ada", "bob"}

    async def test_what_was_entered_anew_is_not_undone_with_the_old_lease(
        self, store: SharedStore
    ) -> None:
        frozen, other = store.node(), store.node()
        sockets = [f"{number}.1" for number in range(1000)]
        await asyncio.gather(*(frozen.join("app", "c", one) for one in sockets))
        await other.join("app", "c", "other")
        await store.lapse(frozen)
        assert 0 < len(await other.sweep()) < 1000
        assert not await frozen.renew()
        await asyncio.gather(*(frozen.join("app", "c", one) for one in sockets))
        assert await sweep_all(other, frozen) == []
        assert (await other.occupancy("app", "c")).sockets == 1001

    async def test_a_store_that_forgot_everything_is_filled_anew(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        before = await one.join(*ROOM, "1.1", member("ada"))
        await other.join(*ROOM, "2.1", member("bob"))
        await store.flush()
        with pytest.raises(LeaseLost):
            await one.join("app", "c", "1.1")
        assert not await one.renew()
        assert not await other.renew()
        after = await one.join(*ROOM, "1.1", member("ada"))
        assert after.first_socket
        assert after.order > before.order
        assert (await other.join(*ROOM, "2.1", member("bob"))).first_of_user
        assert await one.renew()
        assert await sweep_all(one, other) == []
        await store.lapse(other)
        assert len(await sweep_all(one)) == 1

    async def test_nobody_is_swept_because_the_store_was_away(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        for number, node in enumerate((one, other)):
            await node.join("app", "c", f"{number}.1")
        assert await sweep_all(one, other) == []
        await store.be_away()
        assert await sweep_all(one, other) == []
        assert await one.renew()
        assert await other.renew()
        assert (await one.occupancy("app", "c")).sockets == 2
        await store.lapse(other)
        assert len(await sweep_all(one)) == 1

    async def test_a_sweeper_that_dies_is_followed_by_another(self, store: SharedStore) -> None:
        dead, sweeper, last = store.node(), store.node(), store.node()
        for number in range(3):
            await asyncio.gather(
                *(dead.join("app", f"c-{n % 100}", f"{n}.{number}") for n in range(300))
            )
        await sweeper.join("app", "c-0", "sweeper")
        await last.connect("app", "last")
        await store.lapse(dead)
        swept = [*await sweeper.sweep()]
        assert 0 < len(swept) < 900
        await store.lapse(sweeper)
        swept += await sweep_all(last)
        assert len(swept) == len({(one.socket_id, one.channel) for one in swept}) == 901
        vacated = Counter(one.channel for one in swept if one.left and one.left.last_socket)
        assert vacated == {f"c-{n}": 1 for n in range(100)}
        assert dict(await last.channels("app")) == {}

    async def test_who_resigns_is_swept_at_once(self, store: SharedStore) -> None:
        going, other = store.node(), store.node()
        await going.join(*ROOM, "1.1", member("ada"))
        await going.resign()
        (swept,) = await sweep_all(other)
        assert (swept.channel, swept.user_id) == (ROOM[1], "ada")
        assert swept.left is not None
        assert swept.left.last_of_user

    async def test_applications_without_a_survivor_are_swept(self, store: SharedStore) -> None:
        dead, other = store.node(), store.node()
        for number in range(60):
            await dead.join(f"app-{number}", "c", "1.1")
        await other.connect("other", "2.1")
        await store.lapse(dead)
        assert {one.app_id for one in await sweep_all(other)} == {f"app-{n}" for n in range(60)}

    async def test_nothing_stays_behind(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        for number in range(2):
            await one.connect("app", f"1.{number}")
            await one.join(*ROOM, f"1.{number}", member("ada"))
            await one.join(*ROOM, f"1.{number}", member("bob"))
            await one.join("app", "c", f"1.{number}")
            await one.sign_in("app", "ada", f"1.{number}")
        await one.leave(*ROOM, "1.0")
        await one.leave("app", "c", "1.0")
        await one.sign_out("app", "ada", "1.0")
        await one.disconnect("app", "1.0")
        await one.resign()
        await sweep_all(other)
        await store.pass_grace()
        await other.departures()
        await sweep_all(other)
        await other.resign()
        assert await store.is_empty()

    # -- first and last ---------------------------------------------------------------------

    async def test_of_many_at_once_one_is_the_first_and_one_the_last(
        self, store: SharedStore
    ) -> None:
        nodes = store.node(), store.node()
        sockets = [(nodes[number % 2], f"{number}.1") for number in range(50)]
        joins = await asyncio.gather(
            *(node.join(*ROOM, socket, member("ada")) for node, socket in sockets)
        )
        assert [join.first_socket for join in joins].count(True) == 1
        assert [join.first_of_user for join in joins].count(True) == 1
        assert sorted(join.count for join in joins) == [*range(1, 51)]
        leaves = await asyncio.gather(*(node.leave(*ROOM, socket) for node, socket in sockets))
        assert [leave.last_socket for leave in leaves].count(True) == 1
        assert [leave.last_of_user for leave in leaves].count(True) == 1
        assert sorted(leave.count for leave in leaves) == [*range(50)]

    async def test_only_whose_socket_it_is_takes_it_out(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        await other.connect("app", "2.2")
        await one.connect("app", "1.1")
        await one.join(*ROOM, "1.1", member("ada"))
        await one.sign_in("app", "ada", "1.1")
        assert plain(await other.leave(*ROOM, "1.1")) == Left(last_socket=False, count=1)
        assert not await other.sign_out("app", "ada", "1.1")
        await other.disconnect("app", "1.1")
        assert set(await other.members(*ROOM)) == {"ada"}
        assert await other.online("app", ["ada", "bob"]) == {"ada"}
        assert await other.connections("app") == 2

    async def test_limits_are_for_all_nodes_together(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        await one.connect("app", "1.1", capacity=1)
        await one.connect("app", "1.1", capacity=1)
        with pytest.raises(OverCapacity):
            await other.connect("app", "2.1", capacity=1)
        await one.join(*ROOM, "1.1", member("ada"), max_members=1)
        with pytest.raises(PresenceFull):
            await other.join(*ROOM, "2.1", member("bob"), max_members=1)
        await other.join(*ROOM, "2.1", member("ada"), max_members=1)
        assert await other.connections("app") == 1

    async def test_users_come_and_go_once(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        assert await one.sign_in("app", "ada", "1.1")
        assert not await other.sign_in("app", "ada", "2.1")
        assert not await one.sign_out("app", "ada", "1.1")
        assert not await one.sign_out("app", "ada", "1.1")
        assert await other.sign_out("app", "ada", "2.1")

    # -- order ------------------------------------------------------------------------------

    async def test_changes_of_members_are_a_chain(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        first = await one.join(*ROOM, "1.1", member("ada", "a"))
        assert (first.previous, first.revision) == (0, first.order)
        again = await other.join(*ROOM, "2.1", member("ada", "a"))
        assert again.previous == again.revision == first.revision
        assert again.order > first.order
        shown = await other.join(*ROOM, "2.2", member("ada", "b"))
        assert (shown.previous, shown.revision) == (first.revision, shown.order)
        bob = await one.join(*ROOM, "1.2", member("bob"))
        assert (bob.previous, bob.revision) == (shown.revision, bob.order)
        assert (await one.roster(*ROOM)).revision == bob.revision
        assert await one.revisions("app", [ROOM[1], "presence-other"]) == [bob.revision, 0]
        unseen = await one.leave(*ROOM, "1.1")
        assert unseen.previous == unseen.revision == bob.revision
        back = await other.leave(*ROOM, "2.2")
        assert (back.previous, back.revision, back.shown) == (bob.revision, back.order, "a")
        gone = await one.leave(*ROOM, "1.2")
        assert (gone.previous, gone.revision) == (back.revision, gone.order)
        last = await other.leave(*ROOM, "2.1")
        assert (last.previous, last.revision) == (gone.revision, last.order)
        assert await other.revisions("app", [ROOM[1]]) == [0]

    async def test_channels_without_members_have_no_revision(self, store: SharedStore) -> None:
        node = store.node()
        joined = await node.join("app", "c", "1.1")
        left = await node.leave("app", "c", "1.1")
        assert (joined.previous, joined.revision) == (left.previous, left.revision) == (0, 0)
        assert 0 < joined.order < left.order

    async def test_who_changes_his_name_changes_two_members_at_once(
        self, store: SharedStore
    ) -> None:
        node = store.node()
        first = await node.join(*ROOM, "1.1", member("ada"))
        second = await node.join(*ROOM, "1.1", member("bob"))
        assert (second.previous, second.revision) == (first.revision, second.order)
        assert second.first_of_user
        assert not second.first_socket
        assert list(await node.members(*ROOM)) == ["bob"]

    async def test_what_a_survivor_says_of_itself_is_shown(self, store: SharedStore) -> None:
        dead, other = store.node(), store.node()
        await other.join(*ROOM, "2.1", member("ada", {"from": "other"}))
        before = await dead.join(*ROOM, "1.1", member("ada", {"from": "dead"}))
        await store.lapse(dead)
        (left,) = lefts(await sweep_all(other))
        assert left.shown == {"from": "other"}
        assert (left.previous, left.last_of_user) == (before.revision, False)
        assert left.revision > left.previous
        assert dict(await other.members(*ROOM)) == {"ada": {"from": "other"}}

    async def test_members_are_told_in_the_order_in_which_they_came(
        self, store: SharedStore
    ) -> None:
        one, other = store.node(), store.node()
        names = [f"user-{number * 7 % 20}" for number in range(20)]
        for number, name in enumerate(names):
            await (one, other)[number % 2].join(*ROOM, f"{number}.1", member(name))
        await one.join(*ROOM, "100.1", member(names[0], "changed"))
        assert list(await other.members(*ROOM)) == names
        assert list(await told(other)) == names

    # -- departures -------------------------------------------------------------------------

    async def test_who_stays_away_departed_once(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        await one.join(*ROOM, "1.1", member("ada"))
        await one.join("app", "c", "1.1")
        await other.join(*ROOM, "2.1", member("bob"))
        await one.leave(*ROOM, "1.1")
        await one.leave("app", "c", "1.1")
        assert await departures_of(one, other) == []
        await store.pass_grace()
        departed = await departures_of(one, other)
        assert Counter(departed) == {
            Departure(channel=ROOM[1], user_id="ada"): 1,
            Departure(channel="c"): 1,
        }
        assert await departures_of(one, other) == []

    async def test_who_returns_has_never_been_away(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        joined = await one.join(*ROOM, "1.1", member("ada"))
        assert not joined.channel_returned
        assert not joined.user_returned
        await one.leave(*ROOM, "1.1")
        returned = await other.join(*ROOM, "2.1", member("ada"))
        assert returned.first_socket
        assert returned.channel_returned
        assert returned.user_returned
        await store.pass_grace()
        assert await departures_of(one, other) == []

    async def test_who_returns_too_late_comes_anew(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        await one.join(*ROOM, "1.1", member("ada"))
        await one.leave(*ROOM, "1.1")
        await store.pass_grace()
        assert len(await departures_of(one, other)) == 2
        joined = await other.join(*ROOM, "2.1", member("ada"))
        assert not joined.channel_returned
        assert not joined.user_returned

    async def test_who_was_swept_departs_too(self, store: SharedStore) -> None:
        dead, other = store.node(), store.node()
        await dead.join(*ROOM, "1.1", member("ada"))
        await dead.join("app", "c", "1.1")
        await store.lapse(dead)
        await sweep_all(other)
        await other.join(*ROOM, "2.1", member("bob"))
        await store.pass_grace()
        assert Counter(await departures_of(other)) == {
            Departure(channel=ROOM[1], user_id="ada"): 1,
            Departure(channel="c"): 1,
        }

    # -- what is kept for a while -----------------------------------------------------------

    async def test_what_one_node_keeps_another_one_finds(self, store: SharedStore) -> None:
        one, other = store.node(), store.node()
        await one.aremember("app", "cache-c", Cached(frame="{}", id="1", ttl=60))
        found = await other.recall("app", "cache-c")
        assert found is not None
        assert (found.frame, found.id) == ("{}", "1")
        assert 0 < found.ttl <= 60
        assert await other.recall("second", "cache-c") is None
        assert await one.claim("app", "key", 60)
        assert not await other.claim("app", "key", 60)
        assert await other.claim("second", "key", 60)
        await one.release("app", "key")
        assert await other.claim("app", "key", 60)

    async def test_ids_of_users_may_be_any_text(self, store: SharedStore) -> None:
        dead, other = store.node(), store.node()
        names = ["a\nb", "a:b", "", "ä\ud800", "{}", "%00\x00"]
        for number, name in enumerate(names):
            await dead.join(*ROOM, f"{number}.1", member(name, {"n": f"\n{name}"}))
            await dead.sign_in("app", name, f"{number}.1")
        assert dict(await other.members(*ROOM)) == {name: {"n": f"\n{name}"} for name in names}
        assert await other.online("app", [*names, "b"]) == set(names)
        await store.lapse(dead)
        swept = await sweep_all(other)
        assert [one.left is not None and one.left.last_of_user for one in swept].count(True) == 6
        assert {one.user_id for one in swept if one.went_offline} == set(names)
