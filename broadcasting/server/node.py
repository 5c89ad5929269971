"""One process that holds sockets: its hub, its end of the backplane, its clock.

There is one node per event loop, and servers run one loop per process. It is made by the
ASGI lifespan where a server speaks it, and by the first call where it does not.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import secrets
from collections.abc import Collection
from functools import partial
from typing import Any

from broadcasting.applications import Application
from broadcasting.backplanes import Envelope, control, get_backplane
from broadcasting.backplanes.control import (
    Count,
)
from broadcasting.conf import ServerSettings, get_settings, on_change
from broadcasting.exceptions import LeaseLost, RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.errors import HandshakeRefused, OverCapacity, Reconnect, TryAgain
from broadcasting.protocol.protocol import Protocol
from broadcasting.registry import Enlisted, get_registry
from broadcasting.server.access import Access
from broadcasting.server.addresses import Addresses
from broadcasting.server.admission import Admission
from broadcasting.server.connection import Connection, finish
from broadcasting.server.counters import Counters
from broadcasting.server.counts import Counts
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Hub, Topic
from broadcasting.server.interests import Interests
from broadcasting.server.lag import LoopLag
from broadcasting.server.lease import LeaseKeeper
from broadcasting.server.orders import Orders
from broadcasting.server.post import Post
from broadcasting.server.replays import Replays
from broadcasting.server.reporting import Reporter
from broadcasting.server.rosters import Rosters
from broadcasting.server.subscriptions import Subscriptions
from broadcasting.server.sweep import Sweep
from broadcasting.server.users import Users

logger = logging.getLogger("broadcasting.server")

FEW_REDIRECTS = 10
"""Newcomers that a draining node tells to connect elsewhere at once, however few sockets it had."""

LEAVES_A_TURN = 200
"""Channels that a socket which ends leaves before the others have their turn."""


class Node:
    """Everything the sockets of one event loop share."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.connections: dict[str, Connection] = {}
        self.admission = Admission(settings, self.counters, self.now())
        self.lag = LoopLag(self.loop)
        self.leaving = False
        """Whether nobody should be sent here any more, though all goes on as before."""

        self.draining = False
        """Whether newcomers are told to go elsewhere."""

        self.redirects = FEW_REDIRECTS
        """How many of them are told to do so at once."""

        self.stopped = False
        self.backplane = get_backplane()
        self.registry = get_registry().enlist()
        self.is_shared = isinstance(self.registry, Enlisted)
        """Whether other nodes enter their sockets where this one does."""

        self.hub = Hub(self.loop.call_soon, self.counters)
        self.post = Post(self.backplane, self.counters)
        self.replays = Replays()
        self.reporter = Reporter(self.loop, get_settings().webhooks.grace)
        self.counts = Counts(self.loop, settings.subscription_count_interval, self._tell_count)
        self.subscriptions = Subscriptions(self)
        self.rosters = Rosters(self)
        self.users = Users(self)
        self.access = Access(self)
        self.addresses = Addresses(settings)
        self._per_application: dict[str, int] = {}
        self._subscription = self.backplane.connect(self.receive, self.rosters.doubt)
        self.interests = Interests(self._subscription)
        self.orders = Orders(self)
        self._forgetting: set[asyncio.Task[None]] = set()
        self._sweep = Sweep(self)
        self.lease = LeaseKeeper(self)
        self.lease.start()

    def now(self) -> float:
        """Return the loop's steady clock, in seconds."""
        return self.loop.time()

    def new_socket_id(self) -> str:
        """Return an id that no socket of the cluster has: two random numbers and a dot."""
        return f"{secrets.randbelow(10**10)}.{secrets.randbelow(10**10)}"

    def receive(self, envelope: Envelope) -> None:
        """Deliver one envelope from the backplane to the local listeners."""
        if envelope.kind != "event":
            self.orders.obey(envelope)
            return
        self.counters.envelopes_in += 1
        topic = (envelope.app_id, envelope.channel)
        # The local backplane brings every envelope of the process; most may be for nobody here.
        if not self.hub.count(topic):
            return
        spare: Collection[Connection] = self.replays.passes(topic, envelope.id)
        if envelope.except_socket is not None:
            sender = self.connections.get(envelope.except_socket)
            spare = spare if sender is None else {sender, *spare}
        self.hub.send(topic, Frame(envelope.frame), spare)

    def holds(self, app_id: str) -> int:
        """Return how many sockets of an application are here."""
        return self._per_application.get(app_id, 0)

    def _elsewhere(self) -> HandshakeRefused:
        # Where no other server is, those who were sent away come back here at once, and again.
        self.redirects -= 1
        return Reconnect() if self.redirects >= 0 else TryAgain()

    def check_capacity(self, protocol: Protocol) -> None:
        """Raise if this node cannot take one more socket for the application."""
        if self.draining:
            raise self._elsewhere()
        application = protocol.application
        held = self.holds(application.id)
        if application.capacity is not None and held >= application.capacity:
            raise OverCapacity

    async def connect(self, connection: Connection) -> bool:
        """Take ``connection`` in and greet it; False: it was refused, and told why."""
        application = connection.protocol.application
        self.connections[connection.socket_id] = connection
        self.access.arrive(connection)
        self._per_application[application.id] = self._per_application.get(application.id, 0) + 1
        problem: HandshakeRefused | None = None
        try:
            await self.registry.connect(application.id, connection.socket_id, application.capacity)
        except OverCapacity as over:
            problem = over
        except RegistryUnavailable as unavailable:
            logger.error("Refusing a socket of %r: %s", application.id, unavailable)
            self.notice(unavailable)
            # It may have been entered all the same.
            self.lease.owe(partial(self._disconnect, application.id, connection.socket_id))
            problem = TryAgain()
        if problem is not None:
            del self.connections[connection.socket_id]
            self._per_application[application.id] -= 1
            self.counters.refused += 1
            self.counters.note(problem)
            connection.refuse(problem)
            return False
        self.counters.opened += 1
        connection.reply_text(
            messages.connection_established(
                connection.socket_id, max(1, round(self.settings.activity_timeout + 0.49))
            )
        )
        self._sweep.wake(application)
        self.orders.hear_all()
        self.reporter.connected(application, connection.socket_id)
        return True

    def notice(self, problem: Exception) -> None:
        """Take note of why something failed: a lost lease is renewed at once."""
        if isinstance(problem, LeaseLost):
            self.lease.hurry()

    async def disconnect(self, connection: Connection) -> None:
        """Forget ``connection`` and everything it joined; harmless when repeated."""
        if self.connections.pop(connection.socket_id, None) is None:
            return
        self._per_application[connection.protocol.application.id] -= 1
        forgetting = self._forget(connection)
        if self.registry.waits:
            rest = self.loop.create_task(forgetting)
        else:
            steps = forgetting.__await__()
            try:
                # Nearly always done in this one, whatever becomes of the caller or of the loop.
                waits_for = next(steps)
            except StopIteration:
                return
            rest = self.loop.create_task(_finish(steps, waits_for))
        self._forgetting.add(rest)
        rest.add_done_callback(self._forgetting.discard)
        # A server that cuts the consumer short must not cut this short: that would make ghosts.
        await asyncio.shield(rest)

    async def settled(self, patience: float) -> None:
        """Return once every socket that went is forgotten, or after ``patience`` seconds."""
        if self._forgetting:
            await asyncio.wait(self._forgetting, timeout=patience)
        await self.lease.settled(patience)
        await self.post.sent(patience)
        await self.lease.resign(patience)

    async def stop(self) -> None:
        """Close every socket with a code from which clients return, then detach."""
        if self.stopped:
            return
        self.leaving = self.draining = self.stopped = True
        self.hub.flush()
        for connection in tuple(self.connections.values()):
            connection.refuse(Reconnect())
        self._sweep.stop()
        self.lag.stop()
        self.counts.close()
        self.lease.stop()
        self.rosters.close()
        self.orders.close()
        await self._subscription.close()

    def finish(self) -> None:
        """State what waited for a return: the sockets are gone, and the node with them."""
        self.reporter.close()

    async def _forget(self, connection: Connection) -> None:
        protocol = connection.protocol
        application = protocol.application
        for number, channel in enumerate(tuple(protocol.subscriptions), 1):
            if number % LEAVES_A_TURN == 0 and self.loop.is_running():
                await asyncio.sleep(0)  # others have things to say, too
            try:
                await self.subscriptions.leave(connection, channel)
            except Exception:  # the others must not keep a ghost because of one
                self.counters.failures += 1
                logger.exception("%s could not leave a channel", connection.socket_id)
        try:
            self.access.forget(connection)
            await self.users.sign_out(connection)
            await self._disconnect(application.id, connection.socket_id)
        except RegistryUnavailable:
            self.lease.owe(partial(self._disconnect, application.id, connection.socket_id))
        except Exception:
            self.counters.failures += 1
            logger.exception("%s could not be forgotten", connection.socket_id)
        self.reporter.disconnected(application, connection.socket_id)

    async def _disconnect(self, app_id: str, socket_id: str) -> None:
        await self.registry.disconnect(app_id, socket_id)

    def _tell_count(self, application: Application, channel: str, count: int, order: int) -> None:
        self.reporter.subscription_count(application, channel, count)
        topic = (application.id, channel)
        if self.is_shared:
            told = Count(count=count, order=order)
            self.hear_count(topic, told)
            self.post.send(control.envelope(application.id, told, channel))
        else:
            self.hub.send(topic, Frame(messages.subscription_count(channel, count)))

    def hear_count(self, topic: Topic, told: Count) -> None:
        """Tell the subscribers here how many there are, unless they know something newer."""
        if self.hub.count(topic) and self.counts.is_news(topic, told.count, told.order):
            self.hub.send(topic, Frame(messages.subscription_count(topic[1], told.count)))


async def _finish(steps: Any, waits_for: Any) -> None:
    await finish(steps, waits_for)  # from Python 3.12 on a task wants a coroutine of this kind


_nodes: dict[asyncio.AbstractEventLoop, Node] = {}

# A node keeps its backplane, registry and durations; under other settings it is another one.
on_change(_nodes.clear)

if hasattr(os, "register_at_fork"):
    # The sockets are the parent's: a child that ends must not say goodbye in its name.
    os.register_at_fork(after_in_child=_nodes.clear)


def get_node() -> Node:
    """Return the node of the running event loop, started if it is not there yet."""
    return _nodes.get(asyncio.get_running_loop()) or start_node()


def start_node() -> Node:
    """Return a node that takes sockets: a new one if the last one has stopped."""
    loop = asyncio.get_running_loop()
    node = _nodes.get(loop)
    if node is None or node.stopped:
        # A node refers to its loop, so a closed one (tests make many) is forgotten here.
        for other in [known for known in _nodes if known.is_closed()]:
            del _nodes[other]
        node = _nodes[loop] = Node(get_settings().server)
        logger.debug("Node started, backplane %s", type(node.backplane).__name__)
    return node


@atexit.register
def release_sockets() -> None:
    """Close what a server that just stopped has left suspended in the middle of a wait.

    CPython 3.11 crashes when it does so itself, late in its own end.
    """
    for node in _nodes.values():
        for connection in tuple(node.connections.values()):
            connection.release()
