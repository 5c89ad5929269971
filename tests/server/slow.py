"""A registry and a backplane that take their time: calls can be in progress when a socket dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from broadcasting.backplanes.base import GapEnded, Receiver
from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.local import LocalBackplane, LocalSubscription
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry import Cached, Joined, Left
from broadcasting.registry.memory import MemoryRegistry


async def moment() -> None:
    """Let everything else have two turns."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class SlowRegistry(MemoryRegistry):
    """Decides late, so that anything may have happened since it was asked."""

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        await moment()
        return await super().join(app_id, channel, socket_id, member, max_members)

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        await moment()
        return await super().leave(app_id, channel, socket_id)

    async def roster(self, app_id: str, channel: str) -> Roster:
        await moment()
        return await super().roster(app_id, channel)

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        await moment()
        await super().connect(app_id, socket_id, capacity)

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        await moment()
        await super().disconnect(app_id, socket_id)

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        await moment()
        return await super().sign_in(app_id, user_id, socket_id)

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        await moment()
        return await super().sign_out(app_id, user_id, socket_id)

    async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        await moment()
        return await super().online(app_id, user_ids)

    async def recall(self, app_id: str, channel: str) -> Cached | None:
        await moment()
        return await super().recall(app_id, channel)


class SlowBackplane(LocalBackplane):
    """Brings a node only what it has joined, which takes a moment, and fails when ``broken``."""

    broken: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.expect_node()

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> SlowSubscription:
        joined: set[tuple[str, str]] = set()

        def take(envelope: Envelope) -> None:
            if (envelope.app_id, envelope.channel) in joined:
                receive(envelope)

        subscription = SlowSubscription(self, take, asyncio.get_running_loop())
        subscription.joined = joined
        self._nodes = (*(node for node in self._nodes if not node.loop.is_closed()), subscription)
        return subscription


class SlowSubscription(LocalSubscription):
    """A node's end of it."""

    selective: ClassVar[bool] = True
    joined: set[tuple[str, str]]

    async def join(self, app_id: str, channel: str) -> None:
        await moment()
        if SlowBackplane.broken:
            raise BackplaneUnavailable("broken for a test")
        self.joined.add((app_id, channel))

    async def leave(self, app_id: str, channel: str) -> None:
        await moment()
        self.joined.discard((app_id, channel))
        if SlowBackplane.broken:
            raise BackplaneUnavailable("broken for a test")
