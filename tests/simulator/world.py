"""A cluster: servers, what they share, and the users; and everything that can be done to it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.test import override_settings

from broadcasting import consumers, occurrences
from broadcasting.applications import default_application
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.conf import ServerSettings, get_settings
from broadcasting.exceptions import BackplaneUnavailable, PublishError
from broadcasting.occurrences import Occurrence
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.registry import get_registry
from broadcasting.server.node import Node
from tests.simulator.broker import Broker
from tests.simulator.client import Client, Socket
from tests.simulator.links import Links
from tests.simulator.loop import Process, SimulatedLoop, current
from tests.simulator.shared_registry import SharedRegistry

APPLICATION = {
    "id": "app",
    "key": "app-key",
    "secret": "app-secret",
    "enable_client_events": True,
    "enable_subscription_count": True,
    "enable_watchlist_events": True,
}


class SeededNode(Node):
    """Gives its sockets the same ids whenever the seed is the same."""

    def __init__(self, settings: ServerSettings, rng: random.Random) -> None:
        super().__init__(settings)
        self._rng = rng

    def new_socket_id(self) -> str:
        return f"{self._rng.randrange(10**9)}.{self._rng.randrange(10**9)}"


class Server:
    """One process with a node."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.process = world.loop.add(name)
        self.sockets: dict[Socket, asyncio.Task[None]] = {}
        self.node: Node = self.process.run(self._start)
        self.takes_sockets = True

    def freeze(self) -> None:
        """Stand still."""
        self.process.is_frozen = True

    def thaw(self) -> None:
        """Go on, as if nothing had happened."""
        self.process.is_frozen = False

    def kill(self) -> None:
        """Vanish without a word."""
        self.world.loop.kill(self.process)
        self.takes_sockets = False
        self.world.servers.remove(self)
        self.world.backplane_links.of(self.process).cut()
        self.world.broker.forget(self.process)
        for socket in tuple(self.sockets):
            socket.cut()

    def drain(self) -> None:
        """Stop as a server does that is told to."""
        self.takes_sockets = False
        self.world.servers.remove(self)
        self.process.run(self.world.loop.create_task, self._stop())

    async def _stop(self) -> None:
        await self.node.stop()
        if self.sockets:
            await asyncio.wait(set(self.sockets.values()), timeout=5.0)
        await self.node.settled(get_settings().publish_timeout)
        self.node.finish()

    def _start(self) -> Node:
        node = SeededNode(get_settings().server, self.world.rng)
        self.world.nodes[self.process] = node
        return node


class Publisher:
    """A process without sockets that sends events."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.process = world.loop.add(name)
        self._world = world
        self._sent = 0

    def publish(self, channel: str) -> None:
        """Send the next event."""
        self._sent += 1
        number = self._sent
        frame = messages.event("e", channel, {"by": self.name, "n": number})
        envelope = Envelope(app_id="app", channel=channel, frame=frame)
        sent = Sent(self._world, self.name, number, envelope)
        self.process.run(self._world.loop.create_task, self._publish(sent))

    async def _publish(self, sent: Sent) -> None:
        try:
            await get_backplane().apublish(sent.envelope)
        except PublishError:
            return
        self._world.sent.append(sent)


class Sent:
    """An event that a publisher was told has left, and who had subscribed by then."""

    def __init__(self, world: World, by: str, number: int, envelope: Envelope) -> None:
        self.by = by
        self.number = number
        self.envelope = envelope
        self.listeners = [
            (client, client.shown[envelope.channel])
            for client in world.clients
            if envelope.channel in client.shown
        ]


class World:
    """Made inside ``simulated()``; everything that is random in it comes from one seed."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.application: Application = default_application()
        self.faults: list[str] = []
        self.story: list[str] = []
        """What was done, for whoever looks into a failure."""

        self.registry_links = Links(loop, rng)
        self.backplane_links = Links(loop, rng, BackplaneUnavailable)
        self.servers: list[Server] = []
        """Those that are not gone, and do not go."""

        self.nodes: dict[Process, Node] = {}
        self.clients: list[Client] = []
        self.publishers: list[Publisher] = []
        self.sent: list[Sent] = []
        self.reported: Counter[tuple[str, str, str | None]] = Counter()
        self.was_flushed = False
        self._names = Counter[str]()

    @property
    def registry(self) -> SharedRegistry:
        """What the servers share."""
        registry = get_registry()
        assert isinstance(registry, SharedRegistry)
        return registry

    @property
    def broker(self) -> Broker:
        """What carries their envelopes."""
        broker = get_backplane()
        assert isinstance(broker, Broker)
        return broker

    def name(self, kind: str) -> str:
        """Return a name that nobody has."""
        self._names[kind] += 1
        return f"{kind}{self._names[kind]}"

    def start_server(self) -> Server:
        """Add one."""
        server = Server(self, self.name("server"))
        self.servers.append(server)
        return server

    def some_server(self) -> Server | None:
        """Return one that takes sockets, as a balancer would; it need not be well."""
        able = [server for server in self.servers if server.takes_sockets]
        return self.rng.choice(able) if able else None

    def fault(self, what: str) -> None:
        """Note what must never happen."""
        self.faults.append(f"{self.loop.time():.3f} s: {what}")

    def faults_now(self, check: Callable[[], None]) -> list[str]:
        """Return what ``check`` notes, without noting it."""
        known, self.faults = self.faults, []
        try:
            check()
            return self.faults
        finally:
            self.faults = known

    def tell(self, what: str) -> None:
        """Note what is done."""
        self.story.append(f"{self.loop.time():.3f} s: {what}")

    # -- an observer of occurrences ---------------------------------------------------------

    def wants(self, application: Application, name: str) -> bool:
        return name in ("member_added", "member_removed", "channel_occupied", "channel_vacated")

    def hear_of(self, occurrence: Occurrence) -> None:
        """Count what a node states."""
        assert occurrence.channel is not None
        self.reported[occurrence.name, occurrence.channel, occurrence.user_id] += 1


class _Onlooker:
    """Passes occurrences on to the world of the moment."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wants(self, application: Application, name: str) -> bool:
        return self._world.wants(application, name)

    def tell(self, occurrence: Occurrence) -> None:
        self._world.hear_of(occurrence)


@contextmanager
def simulated(seed: int, **server: Any) -> Iterator[World]:
    """Make a world, and leave nothing of it."""
    rng = random.Random(seed)
    random.seed(seed)  # nodes spread what they do by themselves
    loop = SimulatedLoop(rng)
    links: list[World] = []
    options = {"clock": loop.time, "wire": lambda: links[0].registry_links.of(current())}
    settings = {
        "APPLICATIONS": [APPLICATION],
        "BACKPLANE": {
            "BACKEND": "tests.simulator.broker.Broker",
            "OPTIONS": {"links": _Later(links)},
        },
        "REGISTRY": {
            "BACKEND": "tests.simulator.shared_registry.SharedRegistry",
            "OPTIONS": options,
        },
        "SERVER": {"ACTIVITY_TIMEOUT": 8.0, "PONG_TIMEOUT": 4.0, **server},
        "WEBHOOKS": {"GRACE": 1.0},
    }
    with (
        override_settings(BROADCASTING=settings),
        mock.patch.object(consumers, "get_node", lambda: _node_of(links[0])),  # noqa: PT008
    ):
        world = World(loop, rng)
        links.append(world)
        with mock.patch.object(occurrences, "_observers", (_Onlooker(world),)):
            loop.set_exception_handler(lambda _, context: world.fault(_told(context)))
            try:
                yield world
            finally:
                _bury(world)
                loop.close()


class _Later:
    """The links of a world that is about to be made."""

    def __init__(self, worlds: list[World]) -> None:
        self._worlds = worlds

    def of(self, process: Process) -> Any:
        return self._worlds[0].backplane_links.of(process)


def _node_of(world: World) -> Node:
    return world.nodes[current()]


def _told(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r}"


def _bury(world: World) -> None:
    """End every task, those of the dead, too: what is left would end whenever it is collected."""
    loop = world.loop
    loop.set_exception_handler(lambda loop, context: None)
    loop.raise_all()
    for process in loop.processes:
        world.registry_links.of(process).cut()
        world.backplane_links.of(process).cut()
    for _ in range(10):
        tasks = [task for process in loop.processes for task in tuple(process.tasks)]
        if not tasks:
            return
        for task in tasks:
            task.cancel()

        async def end(tasks: list[asyncio.Task[Any]] = tasks) -> None:
            await asyncio.wait(tasks)

        loop.run_until_complete(end())
