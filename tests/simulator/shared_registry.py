"""A registry that simulated nodes share: a Store behind connections that are slow, and break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from broadcasting.conf import get_settings
from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry import (
    BaseRegistry,
    Cached,
    Departure,
    Enlisted,
    Joined,
    Left,
    Occupancy,
    Swept,
)
from tests.simulator.store import Store

T = TypeVar("T")


class Wire(Protocol):
    """How questions get to the store."""

    def ask(self, operation: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        """Do ``operation`` at the store, sooner or later, and bring what comes of it.

        The future fails with RegistryUnavailable if the question or the answer is lost.
        """


class SharedRegistry(BaseRegistry):
    """Reads for everybody; each node writes through an end of its own."""

    known_options = frozenset({"clock", "wire"})

    def __init__(self, options: Mapping[str, Any]) -> None:
        """``clock``: seconds; ``wire``: returns the Wire of the process that asks for it."""
        self.clock: Callable[[], float] = options.get("clock", time.monotonic)
        self.store = Store(self.clock, grace=get_settings().webhooks.grace)
        self._make_wire: Callable[[], Wire | None] = options.get("wire", lambda: None)
        self._nodes = 0

    def enlist(self) -> Enlistment:
        return Enlistment(self, self._make_wire())

    def new_node(self) -> str:
        """Return an id that no node had."""
        self._nodes += 1
        return f"node-{self._nodes}"

    async def ask(self, operation: Callable[[], T]) -> T:
        return operation()

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        raise RegistryUnavailable("Only nodes enter sockets")

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        raise RegistryUnavailable("Only nodes take sockets out")

    async def members(self, app_id: str, channel: str) -> Mapping[str, Any]:
        return await self.ask(lambda: self.store.members(app_id, channel))

    async def roster(self, app_id: str, channel: str) -> Roster:
        return await self.ask(lambda: self.store.roster(app_id, channel))

    async def occupancy(self, app_id: str, channel: str) -> Occupancy:
        return await self.ask(lambda: self.store.occupancy(app_id, channel))

    async def channels(self, app_id: str, prefix: str = "") -> Mapping[str, Occupancy]:
        return await self.ask(lambda: self.store.occupancies(app_id, prefix))

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        raise RegistryUnavailable("Only nodes enter sockets")

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        raise RegistryUnavailable("Only nodes take sockets out")

    async def connections(self, app_id: str) -> int:
        return await self.ask(lambda: len(self.store.of(app_id).connections))

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        raise RegistryUnavailable("Only nodes enter sockets")

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        raise RegistryUnavailable("Only nodes take sockets out")

    async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        asked = tuple(user_ids)
        return await self.ask(lambda: self.store.online(app_id, asked))

    def remember(self, app_id: str, channel: str, last: Cached) -> None:
        self.store.of(app_id).frames[channel] = (self.clock() + last.ttl, last)

    async def aremember(self, app_id: str, channel: str, last: Cached) -> None:
        await self.ask(lambda: self.remember(app_id, channel, last))

    async def recall(self, app_id: str, channel: str) -> Cached | None:
        return await self.ask(lambda: self._recall(app_id, channel))

    async def claim(self, app_id: str, key: str, ttl: float) -> bool:
        return await self.ask(lambda: self._claim(app_id, key, ttl))

    async def release(self, app_id: str, key: str) -> None:
        await self.ask(lambda: self.store.of(app_id).claims.pop(key, None))

    def _recall(self, app_id: str, channel: str) -> Cached | None:
        due, last = self.store.of(app_id).frames.get(channel, (0.0, None))
        left = due - self.clock()
        return None if last is None or left <= 0 else replace(last, ttl=left)

    def _claim(self, app_id: str, key: str, ttl: float) -> bool:
        claims, now = self.store.of(app_id).claims, self.clock()
        if claims.get(key, 0.0) > now:
            return False
        claims[key] = now + ttl
        return True


class Enlistment(SharedRegistry, Enlisted):
    """One node's end."""

    def __init__(self, registry: SharedRegistry, wire: Wire | None) -> None:
        self.clock = registry.clock
        self.store = registry.store
        self._registry = registry
        self._wire = wire
        self.id = registry.new_node()
        self._begun = ""
        """The id under which it has had a lease."""

    def enlist(self) -> Enlistment:
        return self._registry.enlist()

    async def ask(self, operation: Callable[[], T]) -> T:
        if self._wire is None:
            return operation()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._wire.ask(operation, answer)
        return await answer

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        node = self._node()
        return await self.ask(
            lambda: self.store.join(node(), app_id, channel, socket_id, member, max_members)
        )

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        node = self.id
        return await self.ask(lambda: self.store.leave(node, app_id, channel, socket_id))

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        node = self.id
        await self.ask(lambda: self.store.disconnect(node, app_id, socket_id))

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        node = self.id
        return await self.ask(lambda: self.store.sign_out(node, app_id, user_id, socket_id))

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        node = self._node()
        await self.ask(lambda: self.store.connect(node(), app_id, socket_id, capacity))

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        node = self._node()
        return await self.ask(lambda: self.store.sign_in(node(), app_id, user_id, socket_id))

    async def renew(self) -> bool:
        node, id_ = self._node(), self.id
        if await self.ask(lambda: self._renew(node())):
            return True
        if self.id == id_:
            self.id = self._registry.new_node()
        return False

    async def sweep(self) -> Sequence[Swept]:
        return await self.ask(self.store.sweep)

    async def departures(self) -> Mapping[str, Sequence[Departure]]:
        return await self.ask(self.store.departures)

    async def revisions(self, app_id: str, channels: Sequence[str]) -> Sequence[int]:
        return await self.ask(
            lambda: [self.store.of(app_id).revisions.get(channel, 0) for channel in channels]
        )

    async def resign(self) -> None:
        node = self._node()
        await self.ask(lambda: self.store.resign(node()))

    def _node(self) -> Callable[[], str]:
        """Return what says, at the store, who asks; the first question begins the lease."""
        node = self.id

        def begin() -> str:
            if self._begun != node:
                self._begun = node
                self.store.renew(node)
            return node

        return begin

    def _renew(self, node: str) -> bool:
        alive = self.store.is_alive(node)
        if alive:
            self.store.renew(node)
        return alive
