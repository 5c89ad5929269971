"""Three nodes that are restarted one after the other, while events are published through them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import pytest
from websockets.exceptions import ConnectionClosed

from tests import live
from tests.conformance.peer import Peer, dial
from tests.conformance.publishing import publish
from tests.processes.conftest import Env
from tests.processes.test_draining import end_of, ready, running, terminate

CLIENTS = 150
RATE = 20
"""Sockets that a node sends away in one second."""

MOST = 50
"""Handshakes that a node takes at once, and in each second: more are shed and counted. Fewer than
the sockets that a node sends away, and more than it does in a pause of a busy machine."""

EVERY = 3
"""Events, after so many of which a client asks how far the server is with it."""


class Ticker:
    """Publishes a number after the other, through whichever server takes it."""

    def __init__(self, servers: list[live.Server], channel: str) -> None:
        self.channel = channel
        self.begun = 0
        self.acknowledged = 0
        self._servers = servers

    async def run(self, done: asyncio.Event) -> None:
        while not done.is_set():
            self.begun += 1
            for server in (*self._servers, *self._servers):
                try:
                    await publish(server, self.channel, "Tick", str(self.begun))
                    break
                except (OSError, AssertionError):
                    continue
            else:
                raise AssertionError("nobody takes events")
            self.acknowledged = self.begun
            await asyncio.sleep(0.04)


@dataclass(slots=True)
class Session:
    """What one socket heard of a channel, and what it must have."""

    heard: list[int]
    after: int
    """The last event that was begun when the socket was told that it is subscribed: what came
    later is for it."""

    sure: int = 0
    """The last event that was acknowledged before the server said anything else: a question that
    was asked then was answered, and the goodbye came behind the answer."""

    asked: int | None = None
    """What was acknowledged when the question was asked that has no answer yet."""

    def check(self) -> None:
        """Each came once and in order, and none was lost at either end."""
        if self.heard:
            assert self.heard == list(range(self.heard[0], self.heard[-1] + 1))
            assert self.heard[0] <= self.after + 1
            assert self.heard[-1] >= self.sure
        else:
            assert self.sure <= self.after


class Returning:
    """A client that comes back wherever it is sent, and keeps what it heard."""

    def __init__(self, servers: list[live.Server], ticker: Ticker, number: int) -> None:
        self.sessions: list[Session] = []
        self.goodbyes: list[int] = []
        self.is_in = False
        self._servers = servers
        self._ticker = ticker
        self._number = number

    async def run(self, done: asyncio.Event) -> None:
        turn = self._number
        while not done.is_set():
            server = self._servers[turn % len(self._servers)]
            turn += 1
            with contextlib.suppress(OSError):
                async with dial(server) as peer:
                    await self._listen(peer)
            self.is_in = False
            await asyncio.sleep(0)

    async def _listen(self, peer: Peer) -> None:
        while (message := await peer.receive())["event"] != "Over":
            match message["event"]:
                case "pusher:connection_established":
                    await say(peer, "pusher:subscribe", {"channel": self._ticker.channel})
                case "pusher_internal:subscription_succeeded":
                    self.sessions.append(Session([], self._ticker.begun))
                    self.is_in = True
                case "Tick":
                    await self._take(peer, int(message["data"]))
                case "pusher:pong":
                    session = self.sessions[-1]
                    assert session.asked is not None
                    session.sure, session.asked = session.asked, None
                case "pusher:error":
                    code = message["data"]["code"]
                    self.goodbyes.append(code)
                    assert (await peer.closed())[0] == code
                    return

    async def _take(self, peer: Peer, number: int) -> None:
        session = self.sessions[-1]
        session.heard.append(number)
        if session.asked is None and (number + self._number) % EVERY == 0:
            session.asked = self._ticker.acknowledged
            await say(peer, "pusher:ping", {})


async def say(peer: Peer, event: str, data: dict[str, str]) -> None:
    """Send, where nobody has closed yet: what came before the close is still to be read."""
    with contextlib.suppress(ConnectionClosed):
        await peer.send(event, data)


@pytest.mark.full
async def test_a_rolling_restart_loses_and_doubles_nothing(crossing: Env, channel: str) -> None:
    """What was acknowledged before a goodbye came before it, and no herd arises."""
    paced = crossing | {
        "LIVE_DRAIN_RATE": str(RATE),
        "LIVE_DRAIN_SECONDS": "20",
        "LIVE_HANDSHAKES": str(MOST),
    }
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(paced)) for _ in range(3)]
        ticker = Ticker(servers, channel)
        clients = [Returning(servers, ticker, number) for number in range(CLIENTS)]
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run(done))
            ticking = group.create_task(ticker.run(done))
            await all_in(clients)
            for client in clients:
                client.goodbyes.clear()  # of those who came first, all at once
            for server in servers:
                terminate(server)
                assert await end_of(server) == 0
                await asyncio.to_thread(server.start)
                while (await ready(server))[0] != 200:
                    await asyncio.sleep(0.05)
                await all_in(clients)
            done.set()
            await ticking
            await publish(servers[0], channel, "Over")
    sessions = [session for client in clients for session in client.sessions]
    assert len(sessions) > len(clients)
    for session in sessions:
        session.check()
    # Nobody was told 4100: no node had to take more at once than it may.
    assert {code for client in clients for code in client.goodbyes} == {4200}
    # Whoever stayed until the end heard the last one.
    for client in clients:
        last = client.sessions[-1]
        assert (last.heard or [last.after])[-1] == ticker.begun
    # The questions were answered all the while, to the end of those who were sent away.
    assert sum(session.sure > session.after for session in sessions) > len(clients)


async def all_in(clients: list[Returning]) -> None:
    """Return once each has a socket and its channel."""
    async with asyncio.timeout(live.PATIENCE):
        while not all(client.is_in for client in clients):
            await asyncio.sleep(0.05)
