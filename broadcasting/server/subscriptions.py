"""Who hears which channel: in and out, in an order that neither loses nor doubles anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from broadcasting.protocol import messages
from broadcasting.protocol.errors import AccessRevoked, InvalidMember, ProtocolError
from broadcasting.protocol.grants import Grant
from broadcasting.protocol.names import ChannelKind, is_cache, kind_of
from broadcasting.protocol.protocol import Member
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic

if TYPE_CHECKING:
    from broadcasting.server.node import Node


class Subscriptions:
    """The channels of this node's sockets."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def enter(
        self,
        connection: Connection,
        channel: str,
        member: Member | None = None,
        grant: Grant | None = None,
    ) -> None:
        """Enter ``connection`` and answer it.

        Raises PresenceFull, BackplaneUnavailable, and what access.check() raises.
        """
        node, protocol = self._node, connection.protocol
        application = protocol.application
        topic = (application.id, channel)
        await node.interests.hold(topic)
        try:
            joined = await node.registry.join(
                *topic,
                connection.socket_id,
                member,
                application.max_presence_members_per_channel,
            )
        except BaseException:
            node.interests.release(topic)
            raise
        try:
            # Access may have been revoked while others were waited for.
            node.access.check(connection, channel, grant)
        except ProtocolError:
            await node.registry.leave(*topic, connection.socket_id)
            node.interests.release(topic)
            raise
        # One step of the loop from here on: nothing of the channel may reach the socket
        # before the answer, and nothing may be missing after it.
        protocol.subscriptions[channel] = member
        if grant is not None:
            protocol.grants[channel] = grant
        connection.reply_text(
            messages.subscription_succeeded(channel, joined.members if member else None)
        )
        node.hub.join(topic, connection)
        if joined.first_socket:
            node.reporter.occupied(application, channel)
        if member is not None and joined.first_of_user:
            added = messages.member_added(channel, member.user_id, member.user_info)
            node.hub.send(topic, Frame(added), (connection,))
            node.reporter.member_added(application, channel, member.user_id)
        # Before anything else is waited for: the next one's count must come after it.
        self._count(connection, channel, joined.count)
        if is_cache(channel):
            await self._replay(connection, topic)

    async def enter_again(
        self, connection: Connection, channel: str, member: Member | None = None
    ) -> None:
        """Answer a subscription that is there already; newer user info counts from now on.

        Raises InvalidMember for another user than before, and AccessRevoked.
        """
        protocol = connection.protocol
        topic = (protocol.application.id, channel)
        before = protocol.subscriptions[channel]
        members = None
        if member is not None and before is not None:
            if member.user_id != before.user_id:
                raise InvalidMember(
                    "This socket is in the channel as another user", channel=channel
                )
            joined = await self._node.registry.join(*topic, connection.socket_id, member)
            if channel not in protocol.subscriptions:
                # Taken out while others were waited for; this must not bring a ghost back.
                await self._node.registry.leave(*topic, connection.socket_id)
                raise AccessRevoked(channel=channel)
            protocol.subscriptions[channel] = member
            members = joined.members
        # What waits tells of changes that this answer holds already.
        self._node.hub.catch_up(topic, connection)
        connection.reply_text(messages.subscription_succeeded(channel, members))
        if is_cache(channel):
            await self._replay(connection, topic)

    async def leave(self, connection: Connection, channel: str) -> None:
        """Take ``connection`` out; silence if it never was in."""
        node, protocol = self._node, connection.protocol
        if channel not in protocol.subscriptions:
            return
        member = protocol.subscriptions.pop(channel)
        protocol.grants.pop(channel, None)
        application = protocol.application
        topic = (application.id, channel)
        node.hub.leave(topic, connection)
        if is_cache(channel):
            node.replays.forget(topic, connection, last=not node.hub.count(topic))
        try:
            left = await node.registry.leave(*topic, connection.socket_id)
        except asyncio.CancelledError:
            # The socket ends in the middle of this, and has to leave once more.
            protocol.subscriptions[channel] = member
            raise
        if member is not None and left.last_of_user:
            node.hub.send(topic, Frame(messages.member_removed(channel, member.user_id)))
            node.reporter.member_removed(application, channel, member.user_id)
        self._count(connection, channel, left.count)
        if left.last_socket:
            node.reporter.vacated(application, channel)
        node.interests.release(topic)

    async def _replay(self, connection: Connection, topic: Topic) -> None:
        """Give the newcomer what the channel keeps, unless it has had something newer."""
        node = self._node
        passed = node.replays.passed(topic)
        kept = await node.registry.recall(*topic)
        if node.replays.passed(topic) != passed:
            return
        if kept is None:
            connection.reply_text(messages.cache_miss(topic[1]))
            node.reporter.cache_miss(connection.protocol.application, topic[1])
        else:
            connection.reply_text(kept.frame)
            node.replays.given(topic, kept.id, connection)

    def _count(self, connection: Connection, channel: str, count: int) -> None:
        application = connection.protocol.application
        if application.enable_subscription_count and kind_of(channel) is not ChannelKind.PRESENCE:
            self._node.counts.changed(application, channel, count)
