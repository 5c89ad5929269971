"""Who hears which channel: in and out, in an order that neither loses nor doubles anything."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from broadcasting.exceptions import LeaseLost, RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.errors import AccessRevoked, InvalidMember, ProtocolError
from broadcasting.protocol.grants import Grant
from broadcasting.protocol.names import ChannelKind, is_cache, kind_of
from broadcasting.protocol.protocol import Member
from broadcasting.registry import Joined, Left
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic
from broadcasting.server.snapshots import Snapshots

if TYPE_CHECKING:
    from broadcasting.server.node import Node


class Subscriptions:
    """The channels of this node's sockets."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._snapshots = Snapshots(node)

    async def enter(
        self,
        connection: Connection,
        channel: str,
        member: Member | None = None,
        grant: Grant | None = None,
    ) -> None:
        """Enter ``connection`` and answer it.

        Raises PresenceFull, BackplaneUnavailable, RegistryUnavailable, and what access.check()
        raises.
        """
        node, protocol = self._node, connection.protocol
        application = protocol.application
        topic = (application.id, channel)
        await node.interests.hold(topic)
        try:
            # Access may have been revoked while others were waited for.
            node.access.check(connection, channel, grant)
            joined = await node.registry.join(
                *topic,
                connection.socket_id,
                member,
                application.max_presence_members_per_channel,
            )
        except asyncio.CancelledError:
            # The socket ends. It may have been entered all the same, so it has to leave.
            self._hold(connection, topic, member)
            raise
        except BaseException as problem:
            node.interests.release(topic)
            if isinstance(problem, RegistryUnavailable) and not isinstance(problem, LeaseLost):
                # It may have been entered all the same, and nobody would take it out again.
                node.lease.owe(partial(self._leave_late, connection, channel, member))
            raise
        # From here on it is in the channel, and goes as everybody goes.
        self._hold(connection, topic, member)
        if grant is not None:
            protocol.grants[channel] = grant
        self._announce(application, channel, member, joined)
        if node.registry.waits:
            await self._check_again(connection, channel, grant)
        if member is not None:
            try:
                await self._tell_members(connection, topic, joined)
            except Exception:
                # It was told nothing, so it must not be in.
                await self.leave(connection, channel)
                raise
            return
        # In one step: nothing of the channel may reach the socket before the answer.
        node.hub.join(topic, connection)
        connection.reply_text(messages.subscription_succeeded(channel))
        # Before anything else is waited for: the next one's count must come after it.
        self.count(application, channel, joined)
        newest = node.counts.newest(topic)
        if newest is not None and newest.order > joined.order:
            # A later change was heard of earlier, when this one heard nothing yet.
            connection.reply_text(messages.subscription_count(channel, newest.count))
        if is_cache(channel):
            await self._replay(connection, topic, node.replays.passed(topic))

    async def enter_again(
        self, connection: Connection, channel: str, member: Member | None = None
    ) -> None:
        """Answer a subscription that is there already; newer user info counts from now on.

        Raises InvalidMember for another user than before, and AccessRevoked.
        """
        node, protocol = self._node, connection.protocol
        topic = (protocol.application.id, channel)
        before = protocol.subscriptions[channel]
        if member is None or before is None:
            node.hub.catch_up(topic, connection)
            connection.reply_text(messages.subscription_succeeded(channel))
            if is_cache(channel):
                await self._replay(connection, topic, node.replays.passed(topic))
            return
        if member.user_id != before.user_id:
            raise InvalidMember("This socket is in the channel as another user", channel=channel)
        joined = await node.registry.join(*topic, connection.socket_id, member)
        if channel not in protocol.subscriptions:
            # Taken out while others were waited for; this must not bring a ghost back.
            await node.registry.leave(*topic, connection.socket_id)
            raise AccessRevoked(channel=channel)
        protocol.subscriptions[channel] = member
        if node.is_shared:
            node.rosters.joined(topic, member.user_id, member.user_info, joined)
        await self._tell_members(connection, topic, joined)

    async def enter_anew(self, connection: Connection, channel: str) -> None:
        """Enter a socket that is in ``channel`` in a shared registry that has lost it."""
        node, protocol = self._node, connection.protocol
        topic = (protocol.application.id, channel)
        if channel not in protocol.subscriptions:  # it left while others were entered
            return
        member = protocol.subscriptions[channel]
        # Not refused for a limit: it is in already, and nobody told it to go.
        joined = await node.registry.join(*topic, connection.socket_id, member)
        self._announce(protocol.application, channel, member, joined)
        self.count(protocol.application, channel, joined)
        if channel not in protocol.subscriptions:  # it left meanwhile
            left = await node.registry.leave(*topic, connection.socket_id)
            self._tell_left(protocol.application, channel, member, left)

    async def leave(self, connection: Connection, channel: str) -> None:
        """Take ``connection`` out; silence if it never was in."""
        node, protocol = self._node, connection.protocol
        if channel not in protocol.subscriptions:
            return
        member = protocol.subscriptions.pop(channel)
        protocol.grants.pop(channel, None)
        application = protocol.application
        topic = (application.id, channel)
        self.mute(connection, channel)
        if is_cache(channel):
            node.replays.forget(topic, connection, last=not node.hub.count(topic))
        try:
            left = await node.registry.leave(*topic, connection.socket_id)
        except asyncio.CancelledError:
            # The socket ends in the middle of this, and has to leave once more.
            protocol.subscriptions[channel] = member
            raise
        except RegistryUnavailable:
            left = None
            node.lease.owe(partial(self._leave_late, connection, channel, member))
        if left is not None:
            self._tell_left(application, channel, member, left)
        if member is not None and node.is_shared:
            node.rosters.release(topic)
        if not node.hub.count(topic):
            node.counts.forget(topic)
        node.interests.release(topic)

    async def _leave_late(
        self, connection: Connection, channel: str, member: Member | None
    ) -> None:
        """Leave a channel, unless the socket is in it again by now."""
        protocol = connection.protocol
        if channel in protocol.subscriptions:
            return
        application = protocol.application
        left = await self._node.registry.leave(application.id, channel, connection.socket_id)
        self._tell_left(application, channel, member, left)
        if channel in protocol.subscriptions:  # it came back while it was taken out
            await self.enter_anew(connection, channel)

    def _hold(self, connection: Connection, topic: Topic, member: Member | None) -> None:
        """Note that ``connection`` is in a channel; leave() undoes it."""
        connection.protocol.subscriptions[topic[1]] = member
        if member is not None and self._node.is_shared:
            self._node.rosters.hold(topic)

    def _tell_left(
        self, application: Application, channel: str, member: Member | None, left: Left
    ) -> None:
        """Tell those who are still in, and observers, what a leave changed."""
        node, topic = self._node, (application.id, channel)
        if member is not None and node.is_shared:
            node.rosters.left(topic, member.user_id, left)
        elif member is not None and left.last_of_user:
            self._snapshots.forget(topic)
            if node.hub.count(topic):
                removed = messages.member_removed(channel, member.user_id)
                node.hub.send(topic, Frame(removed))
            node.reporter.member_removed(application, channel, member.user_id)
        self.count(application, channel, left)
        # A shared registry says itself which departures are sure, and when.
        if left.last_socket and not node.is_shared:
            node.reporter.vacated(application, channel)

    def mute(self, connection: Connection, channel: str) -> None:
        """Let ``connection`` hear nothing of the channel any more, not even that it is in."""
        topic = (connection.protocol.application.id, channel)
        self._node.hub.leave(topic, connection)
        self._snapshots.leave(topic, connection)
        if not self._node.hub.count(topic):
            self._snapshots.forget(topic)

    def _announce(
        self, application: Application, channel: str, member: Member | None, joined: Joined
    ) -> None:
        """Tell those who are in already, and observers, what a join changed."""
        node, topic = self._node, (application.id, channel)
        if joined.first_socket and not joined.channel_returned:
            node.reporter.occupied(application, channel)
        if member is None:
            return
        if joined.first_of_user and not joined.user_returned:
            node.reporter.member_added(application, channel, member.user_id)
        if node.is_shared:
            node.rosters.joined(topic, member.user_id, member.user_info, joined)
        elif joined.first_of_user:
            self._snapshots.forget(topic)
            if node.hub.count(topic):
                added = messages.member_added(channel, member.user_id, member.user_info)
                node.hub.send(topic, Frame(added))

    async def _check_again(self, connection: Connection, channel: str, grant: Grant | None) -> None:
        """Take the newcomer out again whose access was revoked while the registry was asked."""
        try:
            self._node.access.check(connection, channel, grant)
        except ProtocolError:
            # Others may have been told of it by now.
            await self.leave(connection, channel)
            raise

    async def _tell_members(self, connection: Connection, topic: Topic, joined: Joined) -> None:
        passed = await self._snapshots.tell(topic, connection, joined)
        if passed is not None and is_cache(topic[1]):
            await self._replay(connection, topic, passed or None)

    async def _replay(self, connection: Connection, topic: Topic, passed: str | None) -> None:
        """Give the newcomer what the channel keeps, unless it has had something newer.

        ``passed``: the envelope that had passed when it began to hear the channel.
        """
        node = self._node
        kept = await node.registry.recall(*topic)
        is_out = topic[1] not in connection.protocol.subscriptions
        if is_out or node.replays.passed(topic) != passed:
            return
        if kept is None:
            connection.reply_text(messages.cache_miss(topic[1]))
            node.reporter.cache_miss(connection.protocol.application, topic[1])
        else:
            connection.reply_text(kept.frame)
            node.replays.given(topic, kept.id, connection)

    def count(self, application: Application, channel: str, change: Joined | Left) -> None:
        """Tell subscribers how many they are, where they want to know."""
        if application.enable_subscription_count and kind_of(channel) is not ChannelKind.PRESENCE:
            self._node.counts.changed(application, channel, change.count, change.order)
