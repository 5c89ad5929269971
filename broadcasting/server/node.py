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

from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.conf import ServerSettings, get_settings, on_change
from broadcasting.protocol import messages
from broadcasting.protocol.errors import InvalidMember, OverCapacity, PongTimeout, Reconnect
from broadcasting.protocol.protocol import Member, Protocol
from broadcasting.registry import get_registry
from broadcasting.server.connection import Connection, Frame
from broadcasting.server.counters import Counters
from broadcasting.server.hub import Hub
from broadcasting.server.interests import Interests

logger = logging.getLogger("broadcasting.server")

PING_FRAME = Frame(messages.PING)


class Node:
    """Everything the sockets of one event loop share."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.hub = Hub()
        self.counters = Counters()
        self.connections: dict[str, Connection] = {}
        self.draining = False
        self.backplane = get_backplane()
        self.registry = get_registry()
        self._per_application: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._subscription = self.backplane.connect(self.receive)
        self._interests = Interests(self._subscription)
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the loop's steady clock, in seconds."""
        return self._loop.time()

    def new_socket_id(self) -> str:
        """Return an id that no socket of the cluster has: two random numbers and a dot."""
        return f"{secrets.randbelow(10**10)}.{secrets.randbelow(10**10)}"

    def receive(self, envelope: Envelope) -> None:
        """Deliver one envelope from the backplane to the local listeners."""
        if envelope.kind != "event":
            return
        self.counters.envelopes_in += 1
        topic = (envelope.app_id, envelope.channel)
        # The local backplane brings every envelope of the process; most may be for nobody here.
        if self.hub.count(topic):
            self.counters.frames_out += self.hub.send(
                topic, Frame(envelope.frame), envelope.except_socket
            )

    def check_capacity(self, protocol: Protocol) -> None:
        """Raise if this node cannot take one more socket for the application."""
        if self.draining:
            raise Reconnect
        application = protocol.application
        held = self._per_application.get(application.id, 0)
        if application.capacity is not None and held >= application.capacity:
            raise OverCapacity

    def connect(self, connection: Connection) -> None:
        """Take ``connection`` in and greet it."""
        app_id = connection.protocol.application.id
        self.connections[connection.socket_id] = connection
        self._per_application[app_id] = self._per_application.get(app_id, 0) + 1
        self.counters.opened += 1
        connection.reply_text(
            messages.connection_established(
                connection.socket_id, max(1, round(self.settings.activity_timeout + 0.49))
            )
        )
        if self._timer is None:
            self._schedule()

    async def disconnect(self, connection: Connection) -> None:
        """Forget ``connection`` and everything it joined; harmless when repeated."""
        if self.connections.pop(connection.socket_id, None) is None:
            return
        self._per_application[connection.protocol.application.id] -= 1
        for channel in tuple(connection.protocol.subscriptions):
            try:
                await self.unsubscribe(connection, channel)
            except Exception:  # the others must not keep a ghost because of one
                self.counters.failures += 1
                logger.exception("%s could not leave a channel", connection.socket_id)

    async def subscribe(
        self, connection: Connection, channel: str, member: Member | None = None
    ) -> None:
        """Enter ``connection`` and answer it. Raises PresenceFull, BackplaneUnavailable."""
        protocol = connection.protocol
        application = protocol.application
        topic = (application.id, channel)
        await self._interests.hold(topic)
        try:
            joined = await self.registry.join(
                *topic,
                connection.socket_id,
                member,
                application.max_presence_members_per_channel,
            )
        except BaseException:
            self._interests.release(topic)
            raise
        # One step of the loop from here on: nothing of the channel may reach the socket
        # before the answer, and nothing may be missing after it.
        protocol.subscriptions[channel] = member
        connection.reply_text(
            messages.subscription_succeeded(channel, joined.members if member else None)
        )
        self.hub.join(topic, connection)
        if member is not None and joined.first_of_user:
            added = messages.member_added(channel, member.user_id, member.user_info)
            self.hub.send(topic, Frame(added), connection.socket_id)

    async def resubscribe(
        self, connection: Connection, channel: str, member: Member | None = None
    ) -> None:
        """Answer a subscription that is there already; newer user info counts from now on.

        Raises InvalidMember for another user than before.
        """
        protocol = connection.protocol
        before = protocol.subscriptions[channel]
        members = None
        if member is not None and before is not None:
            if member.user_id != before.user_id:
                raise InvalidMember(
                    "This socket is in the channel as another user", channel=channel
                )
            topic = (protocol.application.id, channel)
            joined = await self.registry.join(*topic, connection.socket_id, member)
            protocol.subscriptions[channel] = member
            members = joined.members
        connection.reply_text(messages.subscription_succeeded(channel, members))

    async def unsubscribe(self, connection: Connection, channel: str) -> None:
        """Take ``connection`` out; silence if it never was in."""
        protocol = connection.protocol
        if channel not in protocol.subscriptions:
            return
        member = protocol.subscriptions.pop(channel)
        topic = (protocol.application.id, channel)
        self.hub.leave(topic, connection)
        left = await self.registry.leave(*topic, connection.socket_id)
        if member is not None and left.last_of_user:
            self.hub.send(topic, Frame(messages.member_removed(channel, member.user_id)))
        self._interests.release(topic)

    async def stop(self) -> None:
        """Close every socket with a code from which clients return, then detach."""
        if self.draining:
            return
        self.draining = True
        for connection in tuple(self.connections.values()):
            connection.refuse(Reconnect())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._subscription.close()

    def _schedule(self) -> None:
        # One sweep for all sockets, not a timer each.
        shortest = min(self.settings.activity_timeout, self.settings.pong_timeout)
        self._timer = self._loop.call_later(min(shortest / 4, 5.0), self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self.now()
        for connection in tuple(self.connections.values()):
            protocol = connection.protocol
            if connection.closing:
                self._give_up(connection, now)
            elif protocol.is_stale(now, self.settings.pong_timeout):
                self.counters.stale_closed += 1
                connection.refuse(PongTimeout())
            elif protocol.needs_ping(now, self.settings.activity_timeout):
                protocol.pinged_at = now
                connection.reply(PING_FRAME)
        if self.connections:
            self._schedule()

    def _give_up(self, connection: Connection, now: float) -> None:
        """End a socket that was told to go, and does not even read that."""
        if connection.closing_since is None:
            connection.closing_since = now
        elif now - connection.closing_since >= self.settings.pong_timeout:
            connection.abandon()


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
    if node is None or node.draining:
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
