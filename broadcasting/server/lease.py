"""How a node stays alive in a shared registry, and looks after those that died.

It renews its lease, sweeps what dead nodes left, states departures that are sure, and compares
what it told its sockets with what the registry knows. When its own lease was lost, because this
process stood still, the store was away or was emptied, it enters all its sockets anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from broadcasting.applications import get_applications
from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.registry import Enlisted, Swept
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.rota import Rota

if TYPE_CHECKING:
    from broadcasting.server.node import Node

logger = logging.getLogger("broadcasting.server")

AT_ONCE = 200
"""Departures that are written together, and sockets that are entered anew."""

COMPARED = 500
"""Presence channels whose revisions are compared at one look."""

COUNTED = 100
"""Channels whose counts are compared at one look, one question for each."""

MAX_OWED = 100_000
"""Departures that could not be written; with more, all sockets are entered anew instead."""

T = TypeVar("T")
Debt = Callable[[], Awaitable[None]]


class LeaseKeeper:
    """The two loops of a node with a shared registry; with any other it does nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._owed: deque[Debt] = deque()
        self._hurry = asyncio.Event()
        self._compared = Rota(node.rosters.topics, COMPARED)
        self._counted = Rota(node.counts.topics, COUNTED)
        self._to_enter: deque[Connection] = deque()
        """Sockets that have to be entered anew."""

        self.problem: str | None = None
        """Why the registry cannot be used, as the last attempt found; None: it can."""

    def start(self) -> None:
        """Begin, once."""
        registry = self._node.registry
        if isinstance(registry, Enlisted) and not self._tasks:
            create_task = self._node.loop.create_task
            self._tasks = [
                create_task(self._stay_alive(registry)),
                create_task(self._look_after_others(registry)),
            ]

    def hurry(self) -> None:
        """Renew now: the lease seems to be lost."""
        self._hurry.set()

    def owe(self, debt: Debt) -> None:
        """Do later what the registry could not be told now: that somebody is gone."""
        self._owed.append(debt)

    def stop(self) -> None:
        """Look after nothing any more."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    async def settled(self, patience: float) -> None:
        """Return once the last look is over, or after ``patience`` seconds."""
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=patience)

    async def resign(self, patience: float) -> None:
        """Give the lease back, within ``patience`` seconds."""
        registry = self._node.registry
        if isinstance(registry, Enlisted):
            try:
                async with asyncio.timeout(patience):
                    await registry.resign()
            except (RegistryUnavailable, TimeoutError) as problem:
                logger.warning("The lease could not be given back, it ends by itself: %s", problem)

    async def _stay_alive(self, registry: Enlisted) -> None:
        while True:
            # Nodes that were started together, or lost the store together, must not stay so.
            pause = registry.heartbeat * random.uniform(0.8, 1.0)  # noqa: S311
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            try:
                await self._renew(registry)
            except RegistryUnavailable as problem:
                self.problem = str(problem)
            except Exception:
                logger.exception("The lease could not be renewed")

    async def _renew(self, registry: Enlisted) -> None:
        is_alive = await registry.renew()
        self.problem = None
        if is_alive and len(self._owed) > MAX_OWED:
            await registry.resign()
            is_alive = False
        if not is_alive:
            self._begin_anew()
        until = self._node.now() + registry.heartbeat
        while self._owed:
            if self._node.now() >= until:  # the lease would end before this does
                return self.hurry()
            await self._pay_some()
        while self._to_enter:
            if self._node.now() >= until:
                return self.hurry()
            await self._enter_some()

    def _begin_anew(self) -> None:
        self._to_enter = deque(self._node.connections.values())
        self._owed.clear()
        self._node.counters.leases_lost += 1
        logger.warning(
            "This node's lease was lost: it stood still or was cut off for too long, or the"
            " registry was emptied. Entering its %d sockets anew",
            len(self._to_enter),
        )

    async def _pay_some(self) -> None:
        await self._do_some(self._owed, lambda debt: debt(), "A departure could not be written")

    async def _enter_some(self) -> None:
        """Enter sockets, their users and channels; what that changes is told as always."""
        await self._do_some(self._to_enter, self._enter, "A socket could not be entered anew")

    async def _do_some(
        self, waiting: deque[T], do: Callable[[T], Awaitable[None]], problem: str
    ) -> None:
        """Do the first ones. Raises RegistryUnavailable; those that met it wait on."""
        some = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        results = await asyncio.gather(*map(do, some), return_exceptions=True)
        unavailable: RegistryUnavailable | None = None
        for one, result in zip(reversed(some), reversed(results), strict=True):
            if isinstance(result, RegistryUnavailable):
                unavailable = result
                waiting.appendleft(one)
            elif isinstance(result, Exception):
                self._node.counters.failures += 1
                logger.error(problem, exc_info=result)
        if unavailable is not None:
            raise unavailable

    async def _enter(self, connection: Connection) -> None:
        node, protocol = self._node, connection.protocol
        application = protocol.application
        await node.registry.connect(application.id, connection.socket_id)
        await node.users.enter_anew(connection)
        for channel in tuple(protocol.subscriptions):
            await node.subscriptions.enter_anew(connection, channel)
        if connection.socket_id not in node.connections:  # it went meanwhile
            await node.registry.disconnect(application.id, connection.socket_id)

    async def _look_after_others(self, registry: Enlisted) -> None:
        while True:
            await asyncio.sleep(registry.sweep_interval * random.uniform(0.8, 1.0))  # noqa: S311
            self._looking = self._node.loop.create_task(self._look(registry))
            # To the end, even if the node stops: what it was given, nobody else is.
            await asyncio.shield(self._looking)

    async def _look(self, registry: Enlisted) -> None:
        try:
            while swept := await registry.sweep():
                self._undo(swept)
            await self._state_departures(registry)
            await self._compare(registry)
            await self._compare_counts(registry)
            await self._node.users.compare()
        except RegistryUnavailable as problem:
            self.problem = self.problem or str(problem)
        except Exception:
            logger.exception("Dead nodes could not be looked after")

    def _undo(self, swept: Sequence[Swept]) -> None:
        node = self._node
        for one in swept:
            node.counters.swept += 1
            application = _application(one.app_id)
            if application is None:
                continue  # gone, and nobody listens any more
            if one.channel is None:
                if one.user_id is not None and one.went_offline:
                    node.users.tell_watchers(application, one.user_id, online=False)
            elif one.left is not None:
                if one.user_id is not None:
                    node.rosters.left((one.app_id, one.channel), one.user_id, one.left)
                node.subscriptions.count(application, one.channel, one.left)

    async def _state_departures(self, registry: Enlisted) -> None:
        for app_id, departures in (await registry.departures()).items():
            if (application := _application(app_id)) is not None:
                for departure in departures:
                    self._node.reporter.sure(application, departure.channel, departure.user_id)

    async def _compare(self, registry: Enlisted) -> None:
        for app_id, group in groupby(sorted(self._compared.some()), key=lambda topic: topic[0]):
            channels = [channel for _, channel in group]
            revisions = await registry.revisions(app_id, channels)
            for channel, revision in zip(channels, revisions, strict=True):
                self._node.rosters.compare((app_id, channel), revision)

    async def _compare_counts(self, registry: Enlisted) -> None:
        node = self._node
        some = self._counted.some()
        found = await asyncio.gather(*(registry.occupancy(*topic) for topic in some))
        for topic, occupancy in zip(some, found, strict=True):
            if node.counts.is_wrong(topic, occupancy.sockets):
                frame = Frame(messages.subscription_count(topic[1], occupancy.sockets))
                node.hub.send(topic, frame)


def _application(app_id: str) -> Application | None:
    try:
        return get_applications().by_id(app_id)
    except Exception:  # a source of somebody else's raises what it likes
        logger.exception("Cannot look up application %r", app_id)
        return None
