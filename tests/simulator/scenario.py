"""One run: a while of everything at once, then peace, and what must be true then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from broadcasting.protocol.names import ChannelKind, kind_of
from tests.simulator.client import Client
from tests.simulator.truths import check_empty, check_peace
from tests.simulator.world import Publisher, Server, World, simulated

CHANNELS = ("presence-a", "presence-b", "private-a", "public")
USERS = ("ada", "bob", "cyd", "dot", "eva")

HARM = (0.0, 0.05, 0.12, 0.3)
"""How much of what happens is harmful, in one run or another."""

SECONDS = 25.0
"""Of trouble, about."""

PEACE = 40.0
"""Seconds until all is right again: a lease, a sweep, a return, and a silent peer."""


REST = 6
"""Looks, a second apart, at which all has to be right, one after the other."""


@dataclass(slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    faults: list[str]
    story: list[str]
    steps: int
    deeds: set[str] = field(default_factory=set)

    @property
    def line(self) -> str:
        """How to see it again."""
        return f"python -m tests.simulator --seed {self.seed}: {self.faults[0]}"


def run(seed: int) -> Outcome:
    """Run ``seed`` and return what it led to."""
    with simulated(seed) as world:
        scenario = Scenario(world)
        world.loop.run_until_complete(scenario.play())
        return Outcome(seed, world.faults, world.story, world.loop.steps, scenario.deeds)


class Scenario:
    """What is done to a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self.deeds: set[str] = set()
        """What of it was harmful."""

        self._frozen: list[Server] = []

    async def play(self) -> None:
        """Do all of it."""
        world, rng = self._world, self._rng
        for _ in range(rng.randint(1, 4)):
            world.start_server()
        for _ in range(2):
            world.publishers.append(Publisher(world, world.name("publisher")))
        for _ in range(rng.randint(2, 8)):
            self._come()
        harm = rng.choice(HARM)
        end = world.loop.time() + SECONDS
        while world.loop.time() < end:
            await asyncio.sleep(rng.random() ** 3 * 1.5)
            if rng.random() < harm:
                self._harm()
            else:
                self._live()
        self._make_peace()
        await self._come_to_rest(lambda: check_peace(world, self.deeds))
        for client in world.clients:
            if client.is_living:
                client.leave()
        await self._come_to_rest(lambda: check_empty(world))

    async def _come_to_rest(self, check: Callable[[], None]) -> None:
        """Wait until all is right and stays so; note what still is not when PEACE is over."""
        end = self._world.loop.time() + PEACE
        right = 0
        while right < REST and self._world.loop.time() < end:
            await asyncio.sleep(1.0)
            right = 0 if self._world.faults_now(check) else right + 1
        check()

    # -- what users and publishers do -------------------------------------------------------

    def _live(self) -> None:
        deeds: list[tuple[int, Callable[[], None]]] = [
            (4, self._come),
            (8, self._subscribe),
            (4, self._unsubscribe),
            (10, self._publish),
            (3, self._whisper),
            (3, self._go),
        ]
        weights = [weight for weight, _ in deeds]
        self._rng.choices([deed for _, deed in deeds], weights)[0]()

    def _living(self) -> list[Client]:
        return [client for client in self._world.clients if client.is_living]

    def _come(self) -> None:
        if len(self._living()) >= 10:
            return
        client = Client(self._world, self._world.name("client"), self._rng.choice(USERS))
        self._world.tell(f"{client.name} comes, as {client.user_id}")
        self._world.clients.append(client)
        if self._rng.random() < 0.5:
            client.watched = tuple(self._rng.sample(USERS, 3))
        for channel in self._rng.sample(CHANNELS, self._rng.randint(0, 3)):
            client.subscribe(channel)
        client.connect()

    def _subscribe(self) -> None:
        for client in self._some_client():
            channel = self._rng.choice(CHANNELS)
            self._world.tell(f"{client.name} subscribes to {channel}")
            client.subscribe(channel)

    def _unsubscribe(self) -> None:
        for client in self._some_client():
            if client.wanted:
                channel = self._rng.choice(list(client.wanted))
                self._world.tell(f"{client.name} unsubscribes from {channel}")
                client.unsubscribe(channel)

    def _publish(self) -> None:
        publisher, channel = self._rng.choice(self._world.publishers), self._rng.choice(CHANNELS)
        for _ in range(self._rng.randint(1, 4)):
            publisher.publish(channel)

    def _whisper(self) -> None:
        for client in self._some_client():
            channels = [name for name in client.shown if kind_of(name) is not ChannelKind.PUBLIC]
            if channels:
                client.whisper(self._rng.choice(channels))

    def _go(self) -> None:
        for client in self._some_client():
            silently = self._rng.random() < 0.3
            self._world.tell(f"{client.name} goes" + (" silently" if silently else ""))
            client.leave(silently=silently)

    def _some_client(self) -> list[Client]:
        living = self._living()
        return [self._rng.choice(living)] if living else []

    # -- what happens to servers ------------------------------------------------------------

    def _harm(self) -> None:
        deeds = [
            self._kill,
            self._freeze,
            self._thaw,
            self._cut_registry,
            self._cut_backplane,
            self._cut_off,
            self._mend,
            self._drain,
            self._flush,
        ]
        self._rng.choice(deeds)()

    def _server(self, deed: str) -> Server | None:
        servers = self._world.servers
        if not servers:
            return None
        server = self._rng.choice(servers)
        self.deeds.add(deed)
        self._world.tell(f"{deed} {server.process}")
        return server

    def _kill(self) -> None:
        if server := self._server("kill"):
            server.kill()
            self._replace()

    def _drain(self) -> None:
        well = [server for server in self._world.servers if not server.process.is_frozen]
        if well:
            server = self._rng.choice(well)
            self.deeds.add("drain")
            self._world.tell(f"drain {server.process}")
            server.drain()
            self._replace()

    def _replace(self) -> None:
        def start() -> None:
            server = self._world.start_server()
            self._world.tell(f"start {server.process}")

        self._world.loop.call_later(self._rng.random() * 3, start)

    def _freeze(self) -> None:
        if server := self._server("freeze"):
            server.freeze()
            self._frozen.append(server)

    def _thaw(self) -> None:
        if self._frozen:
            server = self._frozen.pop(self._rng.randrange(len(self._frozen)))
            self._world.tell(f"thaw {server.process}")
            server.thaw()

    def _cut_registry(self) -> None:
        if server := self._server("cut registry of"):
            self._world.registry_links.of(server.process).cut()

    def _cut_backplane(self) -> None:
        if server := self._server("cut backplane of"):
            self._world.backplane_links.of(server.process).cut()

    def _cut_off(self) -> None:
        links = self._rng.choice((self._world.registry_links, self._world.backplane_links))
        what = "registry" if links is self._world.registry_links else "backplane"
        self.deeds.add(f"cut {what} of")
        self._world.tell(f"cut {what} of everybody")
        for process in self._world.loop.processes:
            links.of(process).cut()

    def _mend(self) -> None:
        self._world.tell("mend")
        for process in self._world.loop.processes:
            self._world.registry_links.of(process).mend()
            if not self._world.backplane_links.of(process).is_up:
                self._world.broker.mend(process)

    def _flush(self) -> None:
        if self._rng.random() < 0.5:
            self.deeds.add("flush")
            self._world.tell("flush the registry")
            self._world.was_flushed = True
            self._world.registry.store.flush()

    def _make_peace(self) -> None:
        self._world.tell("peace")
        self._mend()
        for server in self._frozen:
            server.thaw()
        if not self._world.servers:
            self._world.start_server()
