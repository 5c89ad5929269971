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
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from broadcasting.applications import Application, get_applications
from broadcasting.backplanes import Envelope, control, get_backplane
from broadcasting.backplanes.control import (
    CONTROL_CHANNEL,
    DEPLOYMENT,
    Count,
    Members,
    Online,
    Remember,
    Restart,
    Revoke,
    Terminate,
    read,
)
from broadcasting.backplanes.envelope import UnreadableEnvelope
from broadcasting.conf import ServerSettings, get_settings, on_change
from broadcasting.exceptions import BackplaneUnavailable, LeaseLost, RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.errors import HandshakeRefused, OverCapacity, Reconnect, TryAgain
from broadcasting.protocol.protocol import Protocol
from broadcasting.registry import Cached, Enlisted, get_registry
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
from broadcasting.server.post import Post
from broadcasting.server.replays import Replays
from broadcasting.server.reporting import Reporter
from broadcasting.server.rosters import Rosters
from broadcasting.server.subscriptions import Subscriptions
from broadcasting.server.sweep import Sweep
from broadcasting.server.users import Users

logger = logging.getLogger("broadcasting.server")

HEAR_AGAIN = 5.0
"""Seconds until topics are joined that could not be when the node started."""

Restarter = Callable[[str, float], None]
"""Called with the id of the request, and with the seconds over which nodes spread."""

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

        self.stopped = False
        self.restart: Restarter | None = None
        """Set by whoever can stop this process for its supervisor to start it again."""

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
        self._controlled: set[str] = set()
        """Applications whose control topic is joined."""

        self._listening: asyncio.Task[None] | None = None
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
            self._obey(envelope)
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

    def hears(self, app_id: str) -> bool:
        """Whether control envelopes of an application arrive here."""
        return app_id in self._controlled

    async def hear(self, app_id: str) -> None:
        """Return once they do. Raises BackplaneUnavailable."""
        await self.interests.hold((app_id, CONTROL_CHANNEL))
        self._controlled.add(app_id)

    def hear_all(self) -> None:
        """Begin to hear what every application asks of its nodes, sockets or not.

        Once; servers that tell of their start have it done then, others with the first socket.
        """
        if self.interests.selective and self._listening is None:
            self._listening = self.loop.create_task(self._hear_all())

    def holds(self, app_id: str) -> int:
        """Return how many sockets of an application are here."""
        return self._per_application.get(app_id, 0)

    def check_capacity(self, protocol: Protocol) -> None:
        """Raise if this node cannot take one more socket for the application."""
        if self.draining:
            raise Reconnect
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
            connection.refuse(problem)
            return False
        self.counters.opened += 1
        connection.reply_text(
            messages.connection_established(
                connection.socket_id, max(1, round(self.settings.activity_timeout + 0.49))
            )
        )
        self._sweep.wake(application)
        self.hear_all()
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
        if self._listening is not None:
            self._listening.cancel()
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

    def _obey(self, envelope: Envelope) -> None:
        """Do what a control envelope asks."""
        try:
            asked = read(envelope)
        except UnreadableEnvelope as error:
            self.counters.unreadable += 1
            logger.warning("Ignored a control envelope: %s", error)
            return
        match asked:
            case Terminate():
                self.access.terminate(envelope.app_id, asked)
            case Revoke():
                self.access.revoke(envelope.app_id, asked)
            case Remember(channel=channel, frame=frame, id=id_, ttl=ttl):
                last = Cached(frame=frame, id=id_, ttl=ttl)
                self.registry.remember(envelope.app_id, channel, last)
            case Members():
                self.rosters.hear((envelope.app_id, envelope.channel), asked)
            case Count():
                self._hear_count((envelope.app_id, envelope.channel), asked)
            case Online():
                self.users.hear(envelope.app_id, asked)
            case Restart():
                self._restart(envelope, asked)

    def _restart(self, envelope: Envelope, asked: Restart) -> None:
        # An application's own topic is not where a deployment speaks.
        if envelope.app_id == DEPLOYMENT and self.restart is not None:
            self.restart(envelope.id, asked.over)
        else:
            logger.warning("Asked to restart, which only websockets_serve can")

    async def _hear_all(self) -> None:
        while not await self._has_heard_all():
            await asyncio.sleep(HEAR_AGAIN)

    async def _has_heard_all(self) -> bool:
        """Join what is not joined yet; False: the backplane is away."""
        try:
            ids = [DEPLOYMENT, *(application.id for application in get_applications().all())]
            for app_id in ids:
                if not self.hears(app_id):
                    await self.hear(app_id)
        except BackplaneUnavailable as error:
            # So does each application's first socket.
            logger.warning("Cannot hear yet what is asked of this node, trying again: %s", error)
            return False
        except Exception:  # a source of somebody else's raises what it likes
            logger.exception("Cannot hear what applications ask of this node")
        return True

    def _tell_count(self, application: Application, channel: str, count: int, order: int) -> None:
        self.reporter.subscription_count(application, channel, count)
        topic = (application.id, channel)
        if self.is_shared:
            told = Count(count=count, order=order)
            self._hear_count(topic, told)
            self.post.send(control.envelope(application.id, told, channel))
        else:
            self.hub.send(topic, Frame(messages.subscription_count(channel, count)))

    def _hear_count(self, topic: Topic, told: Count) -> None:
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
