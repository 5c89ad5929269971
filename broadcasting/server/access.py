"""Which sockets of this node belong to whom, and what was taken from users lately.

A socket belongs to a user when a signed answer said so: for a private or presence channel,
or a sign-in. What was revoked is remembered for a while, since an answer that was signed
before may still be on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple

from broadcasting.backplanes.control import Revoke, Terminate, now_ms
from broadcasting.expiring import ExpiringMap
from broadcasting.protocol import messages
from broadcasting.protocol.errors import (
    AccessRevoked,
    AuthorizeAnew,
    HandshakeRefused,
    LoggedOut,
    Terminated,
    TerminatedForNow,
    TooManyUsers,
)
from broadcasting.protocol.grants import Grant
from broadcasting.protocol.names import ChannelKind, kind_of, user_channel
from broadcasting.server.connection import Connection

if TYPE_CHECKING:
    from broadcasting.server.node import Node

logger = logging.getLogger("broadcasting.server")

REMEMBERED = 10_000
"""Revocations of one application that a node keeps in mind; the oldest are forgotten first."""

MAX_OWNERS = 100
"""Users that one socket may have been of, as it leaves some and joins as others."""

Key = tuple[str, str, str | None, str | None]
"""Application, user, channel (or none: all of them) and session (or none: any)."""


class _Revocation(NamedTuple):
    at: int
    """Milliseconds since 1970, by the clock of whoever revoked."""

    number: int
    """How many this node had heard with this one. No clock tells what came first so well."""

    heard_at: int
    """See ``at``, by the clock of this node."""


class Access:
    """Whose the sockets are, and what their users may not do any more."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sockets: dict[tuple[str, str], dict[Connection, None]] = {}
        # By application: one that revokes much must not make us forget what others revoked.
        self._revoked: dict[str, ExpiringMap[Key, _Revocation]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._heard = 0

    def arrive(self, connection: Connection) -> None:
        """Note which revocations are older than ``connection``."""
        connection.revocations_before = self._heard

    @property
    def forgotten_early(self) -> int:
        """How many revocations went out of mind before their time, since there were too many."""
        return sum(revoked.evicted for revoked in self._revoked.values())

    def know(self, connection: Connection, grant: Grant | None) -> None:
        """Note whose ``connection`` is, as a verified answer said. Raises TooManyUsers."""
        if grant is not None:
            self._own(connection, grant.user_id)

    def know_user(self, connection: Connection, user_id: str) -> None:
        """Note who signs in. Raises TooManyUsers; AuthorizeAnew if it was allowed too long ago."""
        self._own(connection, user_id)
        app_id = connection.protocol.application.id
        if self._is_older(connection, (app_id, user_id, None, None), (app_id, user_id, None, "")):
            raise AuthorizeAnew

    def check(self, connection: Connection, channel: str, grant: Grant | None) -> None:
        """Raise AccessRevoked or AuthorizeAnew for an answer from before a revocation."""
        protocol = connection.protocol
        if not protocol.owners or not kind_of(channel).guarded:
            return
        app_id = protocol.application.id
        if grant is None or grant.at is None:
            # It does not say when it was signed; on a newer socket, it must be newer.
            for user_id in protocol.owners if grant is None else (grant.user_id,):
                if self._is_older(
                    connection,
                    (app_id, user_id, channel, None),
                    (app_id, user_id, None, None),
                    (app_id, user_id, None, ""),
                ):
                    raise AuthorizeAnew
            return
        if grant.at < self._oldest():
            raise AccessRevoked("The answer of the auth endpoint is too old", channel=channel)
        for revocation in (
            self._revocation((app_id, grant.user_id, channel, None)),
            self._revocation((app_id, grant.user_id, None, None)),
            self._forgotten(app_id),
        ):
            if revocation is not None and grant.at <= revocation.at:
                raise AccessRevoked(channel=channel)
        # A session that ended never begins again, whatever its last answers say.
        if grant.session and self._revocation((app_id, grant.user_id, None, grant.session)):
            raise AccessRevoked(channel=channel)

    def revoke(self, app_id: str, control: Revoke) -> None:
        """Take a user's sockets out of a channel, and tell them."""
        self._remember((app_id, control.user_id, control.channel, None), control.at)
        told = 0
        for connection in self._of(app_id, control.user_id):
            if self._holds(connection, control.user_id, control.channel):
                self._take_out(connection, control.channel)
                told += 1
        self._node.counters.revoked += told
        logger.info("Revoked %s subscriptions of a user by request", told)

    def terminate(self, app_id: str, control: Terminate) -> None:
        """End a user's sockets."""
        problem: HandshakeRefused
        if control.session is not None:
            problem = LoggedOut()
            self._remember((app_id, control.user_id, None, control.session), control.at)
            # Those that do not say which session they are of.
            self._remember((app_id, control.user_id, None, ""), control.at)
        else:
            problem = TerminatedForNow() if control.reconnect else Terminated()
            self._remember((app_id, control.user_id, None, None), control.at)
        ended = 0
        for connection in self._of(app_id, control.user_id):
            if not (_is_of_another_session(connection, control) or _is_spared(connection, control)):
                # What was sent before is still theirs.
                for channel in (*connection.protocol.subscriptions, user_channel(control.user_id)):
                    self._node.hub.catch_up((app_id, channel), connection)
                connection.refuse(problem)
                ended += 1
        self._node.counters.terminated += ended
        logger.info("Ended %s connections of a user by request", ended)

    def forget(self, connection: Connection) -> None:
        """The socket is gone."""
        app_id = connection.protocol.application.id
        for user_id in connection.protocol.owners:
            sockets = self._sockets[app_id, user_id]
            del sockets[connection]
            if not sockets:
                del self._sockets[app_id, user_id]
        connection.protocol.owners = ()

    def _own(self, connection: Connection, user_id: str) -> None:
        # Until the socket ends: what it was allowed once, it may have been given since.
        protocol = connection.protocol
        if user_id not in protocol.owners:
            if len(protocol.owners) >= MAX_OWNERS:
                raise TooManyUsers
            protocol.owners += (user_id,)
            self._sockets.setdefault((protocol.application.id, user_id), {})[connection] = None

    def _of(self, app_id: str, user_id: str) -> tuple[Connection, ...]:
        return tuple(self._sockets.get((app_id, user_id), ()))

    def _remember(self, key: Key, at: int) -> None:
        self._heard += 1
        revoked = self._revoked.get(key[0])
        if revoked is None:
            revoked = self._revoked[key[0]] = ExpiringMap(REMEMBERED, self._node.loop.time)
        now = now_ms()
        revoked.put(
            key, _Revocation(at or now, self._heard, now), self._node.settings.revocation_ttl
        )

    def _revocation(self, key: Key) -> _Revocation | None:
        found = self._revoked[key[0]].get(key) if key[0] in self._revoked else None
        return None if found is None else found[0]

    def _forgotten(self, app_id: str) -> _Revocation | None:
        """Return the newest that went early. It counts for everybody, since it may be anybody's."""
        last = self._revoked[app_id].last_evicted if app_id in self._revoked else None
        if last is None or last.heard_at < self._oldest():
            return None
        # A clock that is ahead must not keep everybody out until its time has come.
        return last._replace(at=min(last.at, last.heard_at))

    def _oldest(self) -> float:
        """Return when the oldest answer was asked for that is still good."""
        return now_ms() - self._node.settings.revocation_ttl * 1000

    def _is_older(self, connection: Connection, *keys: Key) -> bool:
        """Whether the socket was there already when one of these was revoked."""
        app_id, before = connection.protocol.application.id, connection.revocations_before
        if app_id not in self._revoked:
            return False
        found = [*(self._revocation(key) for key in keys), self._forgotten(app_id)]
        return any(one is not None and before < one.number for one in found)

    def _holds(self, connection: Connection, user_id: str, channel: str) -> bool:
        protocol = connection.protocol
        if channel not in protocol.subscriptions:
            return False
        grant = protocol.grants.get(channel)
        # Without a word on whose it is, it is that of whoever has the socket.
        return grant is None or grant.user_id == user_id

    def _take_out(self, connection: Connection, channel: str) -> None:
        # Now: the next envelope may be one that the user may not read any more.
        self._node.subscriptions.mute(connection, channel)
        connection.reply_text(messages.subscription_error(AccessRevoked(channel=channel)))
        leaving = self._leave(connection, channel)
        if not self._node.registry.waits:
            # In one step, so that who is let in again at once is not taken out by this.
            with contextlib.suppress(StopIteration):
                leaving.send(None)
            leaving.close()
            return
        task = self._node.loop.create_task(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, connection: Connection, channel: str) -> None:
        try:
            await self._node.subscriptions.leave(connection, channel)
        except Exception:
            self._node.counters.failures += 1
            logger.exception("%s could not be taken out of a channel", connection.socket_id)


def _is_spared(connection: Connection, control: Terminate) -> bool:
    """Whether nothing but a presence channel says that it is the user's, where that is too little.

    A member's id is what a rule chose, which need not be that of a user.
    """
    protocol, user_id = connection.protocol, control.user_id
    if control.members or (protocol.user is not None and protocol.user.id == user_id):
        return False
    own = [channel for channel, grant in protocol.grants.items() if grant.user_id == user_id]
    return bool(own) and all(kind_of(channel) is ChannelKind.PRESENCE for channel in own)


def _is_of_another_session(connection: Connection, control: Terminate) -> bool:
    if control.session is None:
        return False
    grants = connection.protocol.grants.values()
    sessions = {g.session for g in grants if g.user_id == control.user_id and g.session}
    return bool(sessions) and control.session not in sessions
