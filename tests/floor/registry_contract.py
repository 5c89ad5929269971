"""What every registry promises. Subclass it, name the class ``Test...`` and give a ``registry``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import pytest

from broadcasting.protocol.errors import PresenceFull
from broadcasting.protocol.protocol import Member
from broadcasting.registry import BaseRegistry, Left

ROOM = ("app", "presence-room")


def member(user_id: str, info: Any = None) -> Member:
    return Member(user_id=user_id, user_info=info)


def plain(left: Left) -> Left:
    """Leave out what only shared registries tell."""
    return replace(left, order=0, revision=0, previous=0)


async def told(registry: BaseRegistry, channel: str = ROOM[1]) -> dict[str, Any]:
    """Return the members as a newcomer is told of them."""
    answer = json.loads((await registry.roster("app", channel)).answer)
    presence = json.loads(answer["data"])["presence"]
    assert answer["channel"] == channel
    assert presence["ids"] == [*presence["hash"]]
    assert presence["count"] == len(presence["ids"])
    return dict(presence["hash"])


class RegistryContract(ABC):
    @pytest.fixture
    @abstractmethod
    def registry(self) -> BaseRegistry:
        """Return an empty registry."""

    async def test_nobody_is_anywhere_at_first(self, registry: BaseRegistry) -> None:
        assert (await registry.occupancy(*ROOM)).sockets == 0
        assert dict(await registry.members(*ROOM)) == {}

    async def test_the_first_socket_occupies_a_channel_and_the_last_vacates_it(
        self, registry: BaseRegistry
    ) -> None:
        assert (await registry.join("app", "c", "1.1")).first_socket
        assert not (await registry.join("app", "c", "2.2")).first_socket
        assert (await registry.occupancy("app", "c")).sockets == 2
        assert plain(await registry.leave("app", "c", "1.1")) == Left(last_socket=False, count=1)
        assert plain(await registry.leave("app", "c", "2.2")) == Left(last_socket=True)
        assert (await registry.occupancy("app", "c")).sockets == 0

    async def test_a_channel_can_be_occupied_again(self, registry: BaseRegistry) -> None:
        for _ in range(2):
            assert (await registry.join(*ROOM, "1.1", member("1"))).first_socket
            assert (await registry.leave(*ROOM, "1.1")).last_socket

    async def test_joining_again_changes_nothing(self, registry: BaseRegistry) -> None:
        """58, 102."""
        await registry.join(*ROOM, "1.1", member("1"))
        again = await registry.join(*ROOM, "1.1", member("1"))
        assert not again.first_socket
        assert not again.first_of_user
        assert (await registry.occupancy(*ROOM)).sockets == 1
        assert (await registry.leave(*ROOM, "1.1")).last_socket

    async def test_leaving_where_one_never_was_changes_nothing(
        self, registry: BaseRegistry
    ) -> None:
        """57."""
        assert plain(await registry.leave(*ROOM, "1.1")) == Left(last_socket=False)
        await registry.join(*ROOM, "1.1", member("1"))
        assert plain(await registry.leave(*ROOM, "2.2")) == Left(last_socket=False, count=1)
        await registry.leave(*ROOM, "1.1")
        assert plain(await registry.leave(*ROOM, "1.1")) == Left(last_socket=False)

    async def test_a_newcomer_sees_itself_and_the_others(self, registry: BaseRegistry) -> None:
        """81, 82."""
        first = await registry.join(*ROOM, "1.1", member("1", {"name": "Ada"}))
        assert first.first_of_user
        assert await told(registry) == {"1": {"name": "Ada"}}
        second = await registry.join(*ROOM, "2.2", member("2"))
        assert second.first_of_user
        assert await told(registry) == {"1": {"name": "Ada"}, "2": None}
        assert dict(await registry.members(*ROOM)) == await told(registry)

    async def test_sockets_without_a_member_see_nobody(self, registry: BaseRegistry) -> None:
        joined = await registry.join("app", "private-c", "1.1")
        assert await told(registry, "private-c") == {}
        assert not joined.first_of_user
        assert not (await registry.leave("app", "private-c", "1.1")).last_of_user

    async def test_users_are_counted_not_their_sockets(self, registry: BaseRegistry) -> None:
        """87, 88."""
        await registry.join(*ROOM, "1.1", member("1"))
        second = await registry.join(*ROOM, "1.2", member("1"))
        assert not second.first_of_user
        assert await told(registry) == {"1": None}
        assert (await registry.occupancy(*ROOM)).sockets == 2
        assert not (await registry.leave(*ROOM, "1.1")).last_of_user
        assert dict(await registry.members(*ROOM)) == {"1": None}
        assert (await registry.leave(*ROOM, "1.2")).last_of_user
        assert dict(await registry.members(*ROOM)) == {}

    async def test_who_left_and_returns_is_new(self, registry: BaseRegistry) -> None:
        """103."""
        await registry.join(*ROOM, "1.1", member("1"))
        await registry.leave(*ROOM, "1.1")
        assert (await registry.join(*ROOM, "1.1", member("1"))).first_of_user

    async def test_a_full_channel_takes_no_other_user(self, registry: BaseRegistry) -> None:
        """98."""
        for number in ("1", "2"):
            await registry.join(*ROOM, f"{number}.1", member(number), max_members=2)
        with pytest.raises(PresenceFull) as problem:
            await registry.join(*ROOM, "3.1", member("3"), max_members=2)
        assert problem.value.channel == ROOM[1]
        assert (await registry.occupancy(*ROOM)).sockets == 2
        assert set(await registry.members(*ROOM)) == {"1", "2"}
        assert plain(await registry.leave(*ROOM, "3.1")) == Left(last_socket=False, count=2)

    async def test_a_full_channel_takes_another_socket_of_a_member(
        self, registry: BaseRegistry
    ) -> None:
        """99."""
        await registry.join(*ROOM, "1.1", member("1"), max_members=1)
        joined = await registry.join(*ROOM, "1.2", member("1"), max_members=1)
        assert not joined.first_of_user
        assert (await registry.occupancy(*ROOM)).sockets == 2

    async def test_a_channel_that_refused_everybody_stays_vacant(
        self, registry: BaseRegistry
    ) -> None:
        with pytest.raises(PresenceFull):
            await registry.join(*ROOM, "1.1", member("1"), max_members=0)
        assert (await registry.join(*ROOM, "2.2", member("2"))).first_socket

    async def test_the_limit_is_for_users_and_not_for_sockets_of_other_channels(
        self, registry: BaseRegistry
    ) -> None:
        for number in range(3):
            await registry.join("app", "c", f"{number}.1", max_members=1)
        assert (await registry.occupancy("app", "c")).sockets == 3

    async def test_the_newest_sockets_info_is_shown(self, registry: BaseRegistry) -> None:
        """104."""
        await registry.join(*ROOM, "1.1", member("1", "old"))
        await registry.join(*ROOM, "1.2", member("1", "new"))
        assert dict(await registry.members(*ROOM)) == await told(registry) == {"1": "new"}
        await registry.leave(*ROOM, "1.2")
        assert dict(await registry.members(*ROOM)) == await told(registry) == {"1": "old"}

    async def test_a_socket_that_joins_again_is_the_newest(self, registry: BaseRegistry) -> None:
        """104."""
        await registry.join(*ROOM, "1.1", member("1", "first"))
        await registry.join(*ROOM, "1.2", member("1", "second"))
        await registry.join(*ROOM, "1.1", member("1", "third"))
        assert dict(await registry.members(*ROOM)) == await told(registry) == {"1": "third"}

    async def test_a_socket_that_joins_as_somebody_else_leaves_nobody_behind(
        self, registry: BaseRegistry
    ) -> None:
        await registry.join(*ROOM, "1.1", member("1"))
        await registry.join(*ROOM, "2.2", member("2"))
        joined = await registry.join(*ROOM, "1.1", member("3"))
        assert joined.first_of_user
        assert not joined.first_socket
        assert set(await told(registry)) == {"2", "3"}
        assert (await registry.occupancy(*ROOM)).sockets == 2
        assert (await registry.leave(*ROOM, "1.1")).last_of_user
        assert set(await registry.members(*ROOM)) == {"2"}

    async def test_applications_do_not_see_each_other(self, registry: BaseRegistry) -> None:
        """218."""
        await registry.join(*ROOM, "1.1", member("1"))
        other = await registry.join("second", ROOM[1], "2.2", member("1"))
        assert other.first_socket
        assert other.first_of_user
        assert (await registry.occupancy("second", ROOM[1])).sockets == 1
        assert (await registry.leave("second", ROOM[1], "2.2")).last_socket
        assert (await registry.occupancy(*ROOM)).sockets == 1

    async def test_channels_do_not_see_each_other(self, registry: BaseRegistry) -> None:
        """67."""
        await registry.join("app", "presence-a", "1.1", member("1"))
        assert (await registry.join("app", "presence-A", "1.1", member("1"))).first_of_user
        await registry.leave("app", "presence-a", "1.1")
        assert set(await registry.members("app", "presence-A")) == {"1"}

    async def test_what_members_were_does_not_change_later(self, registry: BaseRegistry) -> None:
        await registry.join(*ROOM, "1.1", member("1"))
        members = await registry.members(*ROOM)
        await registry.join(*ROOM, "2.2", member("2"))
        assert set(members) == {"1"}
        assert set(await told(registry)) == {"1", "2"}
