"""One run: a while of chaos, then peace, and what must be true then."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException

from broadcasting.protocol.names import ChannelKind, kind_of
from broadcasting.protocol.signing import channel_text, sign
from tests.chaos.client import APP, Client
from tests.chaos.cluster import Cluster, Site, running
from tests.conformance.publishing import caller, look_up

CHANNELS = ("presence-a", "presence-b", "presence-c", "private-a", "private-b", "public")
USERS = tuple(f"user-{number}" for number in range(40))

PEACE = 60.0
"""Seconds in which all has to be right again."""

REST = 3
"""Looks, a second apart, at which it has to be, one after the other."""

GROWTH = 40_000_000
"""Bytes of memory that a server may keep of all that it went through."""

LOOP = 3
"""Files of the loop that a server has for its threads, from the first event on."""

CONNECTIONS = 8
"""To Valkey, that a server may keep for the next use."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    story: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    codes: Counter[int | None] = field(default_factory=Counter)
    """With which servers closed sockets; 1006: they were cut."""

    published: int = 0
    recovered: float = 0.0
    """Seconds of peace after which all was right."""

    memory: int = 0
    """Bytes that the servers had more at the end than at their start, the most of them."""


async def run(seed: int, seconds: float, clients: int = 300, servers: int = 3) -> Outcome:
    """Let things happen for so long; ``seed`` decides what, but not when it is done."""
    outcome = Outcome()
    rng = random.Random(seed)
    with running(servers, rng, outcome.story) as cluster:
        await Chaos(cluster, rng, outcome, clients).play(seconds)
    return outcome


class Chaos:
    """Users, and what befalls them."""

    def __init__(
        self, cluster: Cluster, rng: random.Random, outcome: Outcome, clients: int
    ) -> None:
        self._cluster = cluster
        self._rng = rng
        self._outcome = outcome
        self._most = clients
        self._clients: list[Client] = []
        self._names = 0

    async def play(self, seconds: float) -> None:
        """Do all of it."""
        while len(self._clients) < self._most:
            await self._come()
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._befall(end))
            group.create_task(self._befall(end))
            group.create_task(self._live(end))
            group.create_task(self._publish(end))
        await self._come_to_rest()
        await self._check_delivery()
        for client in self._clients:
            for channel, shown in client.shown.items():
                for problem in shown.disorder():
                    self._fault(f"{client.name} {problem} on {channel}")
        while self._clients:
            await self._go()
        await self._check_empty()

    # -- what is done -----------------------------------------------------------------------

    async def _befall(self, end: float) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(self._rng.uniform(0.2, 2.0))
            await self._cluster.befall()

    async def _live(self, end: float) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(0.02)
            deed = self._rng.choices(
                (self._come, self._subscribe, self._unsubscribe, self._whisper, self._go),
                (2, 4, 3, 2, 2),
            )[0]
            await deed()

    async def _come(self) -> None:
        if len(self._clients) >= self._most:
            return
        self._names += 1
        client = Client(
            f"client{self._names}",
            self._rng.choice(USERS),
            self._cluster.some_server,
            self._cluster.deaths,
            _signature,
            self._fault,
        )
        self._clients.append(client)
        for channel in self._rng.sample(CHANNELS, self._rng.randint(1, 4)):
            await client.subscribe(channel)

    async def _subscribe(self) -> None:
        if self._clients:
            await self._rng.choice(self._clients).subscribe(self._rng.choice(CHANNELS))

    async def _unsubscribe(self) -> None:
        if self._clients:
            client = self._rng.choice(self._clients)
            if client.wanted:
                await client.unsubscribe(self._rng.choice(tuple(client.wanted)))

    async def _whisper(self) -> None:
        if self._clients:
            client = self._rng.choice(self._clients)
            for channel in client.shown:
                if kind_of(channel) is not ChannelKind.PUBLIC:
                    await client.whisper(channel)
                    return

    async def _go(self) -> None:
        if self._clients:
            client = self._clients.pop(self._rng.randrange(len(self._clients)))
            await client.leave(silently=self._rng.random() < 0.2)
            self._outcome.codes.update(client.codes)

    async def _publish(self, end: float) -> None:
        """Send events one after the other, as somebody new whenever one may have been lost."""
        publisher, number = 1, 0
        while time.monotonic() < end:
            await asyncio.sleep(0.02)
            server = self._cluster.some_server()
            if server is None:
                continue
            number += 1
            data = json.dumps({"by": f"publisher{publisher}", "n": number})
            trigger = caller(server, APP).trigger
            try:
                async with asyncio.timeout(3):
                    answer = await asyncio.to_thread(trigger, [self._channel()], "e", data)
                lost = answer.status != 200
            except (OSError, HTTPException):  # killed in the middle of its answer, too
                lost = True
            self._outcome.published += not lost
            if lost:
                publisher, number = publisher + 1, 0

    def _channel(self) -> str:
        return random.choice(CHANNELS)

    # -- what must be true ------------------------------------------------------------------

    def _fault(self, what: str) -> None:
        self._outcome.faults.append(what)

    async def _come_to_rest(self) -> None:
        began, right, wrong = time.monotonic(), 0, ["never looked"]
        while right < REST and time.monotonic() < began + PEACE:
            await asyncio.sleep(1.0)
            wrong = [problem async for problem in self._wrong()]
            right = 0 if wrong else right + 1
            if right == 1:
                self._outcome.recovered = time.monotonic() - began
        self._outcome.faults += wrong

    async def _wrong(self) -> AsyncIterator[str]:
        users = {channel: set[str]() for channel in CHANNELS}
        sockets = Counter[str]()
        for client in self._clients:
            sockets.update(tuple(client.wanted))
            for channel in client.wanted:
                users[channel].add(client.user_id)
        for client in self._clients:
            for problem in _wrongly_shown(client, users, sockets):
                yield problem
        for site in self._cluster.sites:
            async for problem in self._wrongly_answered(site, users, sockets):
                yield problem

    async def _wrongly_answered(
        self, site: Site, users: dict[str, set[str]], sockets: Counter[str]
    ) -> AsyncIterator[str]:
        port = site.server.port
        try:
            connections = await look_up(site.server, "connections", APP)
            if connections["connections"] != len(self._clients):
                yield f"{port} counts {connections}, there are {len(self._clients)}"
            found = (await look_up(site.server, "channels", APP))["channels"]
            if found.keys() != sockets.keys():
                yield f"{port} has {sorted(found)}, not {sorted(sockets)}"
            for channel in CHANNELS:
                query = {"info": "subscription_count"}
                state = await look_up(site.server, f"channels/{channel}", APP, **query)
                if state.get("subscription_count", 0) != sockets[channel]:
                    yield f"{port} says {state} of {channel}, there are {sockets[channel]}"
                if kind_of(channel) is ChannelKind.PRESENCE:
                    answer = await look_up(site.server, f"channels/{channel}/users", APP)
                    told = {user["id"] for user in answer["users"]}
                    if told != users[channel]:
                        yield f"{port} and {channel}: {sorted(told ^ users[channel])}"
        except (OSError, AssertionError) as problem:
            yield f"{port} does not answer: {problem!r}"

    async def _check_delivery(self) -> None:
        """See that in peace everybody gets everything, from whatever server, once."""
        sent: list[tuple[str, str]] = []
        for site in self._cluster.sites:
            by = f"peace of {site.server.port}"
            for channel in CHANNELS:
                trigger = caller(site.server, APP).trigger
                data = json.dumps({"by": by, "n": 1})
                answer = await asyncio.to_thread(trigger, [channel], "e", data)
                if answer.status != 200:
                    self._fault(f"{site.server.port} does not publish: {answer}")
                sent.append((channel, by))
        end = time.monotonic() + 10
        missed = list(self._missed(sent))
        while missed and time.monotonic() < end:
            await asyncio.sleep(0.2)
            missed = list(self._missed(sent))
        self._outcome.faults += missed

    def _missed(self, sent: list[tuple[str, str]]) -> Iterator[str]:
        for client in self._clients:
            for channel, by in sent:
                shown = client.shown.get(channel)
                if shown is not None and shown.events.count((by, 1)) != 1:
                    yield f"{client.name} got {shown.events.count((by, 1))} of {by} on {channel}"

    async def _check_empty(self) -> None:
        """See that nothing is left of anybody, in the registry or in a process."""
        end = time.monotonic() + PEACE
        while time.monotonic() < end:
            wrong = [problem async for problem in self._wrong()] + list(self._left_open())
            if not wrong:
                break
            await asyncio.sleep(1.0)
        self._outcome.faults += wrong
        for site in self._cluster.sites:
            grown = site.measure()[1] - site.memory
            self._outcome.memory = max(self._outcome.memory, grown)
            if grown > GROWTH:
                self._fault(f"{site.server.port} kept {grown:,} bytes")

    def _left_open(self) -> Iterator[str]:
        for site in self._cluster.sites:
            files, port = site.measure()[0], site.server.port
            if files > site.files + LOOP:
                yield f"{port} has {files} files open, not {site.files}: {site.shown_files()}"
            if site.connections() > CONNECTIONS:
                yield f"{port} keeps {site.connections()} connections: {site.shown_files()}"


def _wrongly_shown(
    client: Client, users: dict[str, set[str]], sockets: Counter[str]
) -> Iterator[str]:
    if client.socket_id is None:
        yield f"{client.name} is not connected"
        return
    place = f"{client.name} on {client.server.port if client.server else None}"
    for channel in client.wanted:
        shown = client.shown.get(channel)
        if shown is None:
            yield f"{place} is not subscribed to {channel}"
        elif shown.members is not None:
            if shown.members.keys() != users[channel]:
                yield f"{place} and {channel}: {sorted(shown.members.keys() ^ users[channel])}"
        elif shown.count != sockets[channel] and sockets[channel] <= 100:
            yield f"{place} shows {shown.count} on {channel}, there are {sockets[channel]}"


def _signature(socket_id: str, channel: str, data: str | None) -> str:
    return f"{APP}-key:{sign(f'{APP}-secret', channel_text(socket_id, channel, data))}"
