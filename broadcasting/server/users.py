"""Who is signed in on this node's sockets, and who watches whom."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from broadcasting.backplanes import control
from broadcasting.backplanes.control import Online
from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.errors import WatchlistTooLong
from broadcasting.protocol.messages import Signin
from broadcasting.protocol.names import user_channel
from broadcasting.protocol.protocol import MAX_WATCHLIST, User
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic

if TYPE_CHECKING:
    from broadcasting.server.node import Node

COMPARED = 500
"""Watched users who are looked up at one look."""

MAX_LOOKS = 5
"""At who is online, for one watcher: on a busy site somebody always comes or goes."""


class Users:
    """Who is signed in where, and what users are told of one another."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._changes = 0
        """How often somebody came online or went."""

        self._told: dict[tuple[str, str], bool] = {}
        """By application and user, what watchers on this node were told last."""

        self._doubts: set[tuple[str, str]] = set()
        """Those of whom the registry knew otherwise at the last look."""

        self._turn = 0

    async def sign_in(self, connection: Connection, message: Signin) -> None:
        """Let ``connection`` belong to a user. Raises SigninRefused, BackplaneUnavailable."""
        protocol = connection.protocol
        user = protocol.sign_in(message)
        self._node.access.know_user(connection, user.id)
        application = protocol.application
        own = (application.id, user_channel(user.id))
        before = protocol.user
        if before is None:
            # From here on the node forgets it with the socket, however far this comes.
            await self._node.interests.hold(own)
        else:
            self._unwatch(connection, before)
        protocol.user = user
        came = await self._node.registry.sign_in(application.id, user.id, connection.socket_id)
        connection.reply_text(messages.signin_success(message.user_data))
        self._node.hub.join(own, connection)
        if came:
            self.tell_watchers(application, user.id, online=True)
        if application.enable_watchlist_events:
            await self._watch(connection, user)

    async def enter_anew(self, connection: Connection) -> None:
        """Enter a signed-in socket in a shared registry that has lost it."""
        protocol = connection.protocol
        user = protocol.user
        if user is None:
            return
        application, socket_id = protocol.application, connection.socket_id
        if await self._node.registry.sign_in(application.id, user.id, socket_id):
            self.tell_watchers(application, user.id, online=True)
        if protocol.user is None:  # it went meanwhile
            await self._sign_out(application, user.id, socket_id)

    async def sign_out(self, connection: Connection) -> None:
        """Forget whom ``connection`` belonged to."""
        user = connection.protocol.user
        if user is None:
            return
        connection.protocol.user = None
        application = connection.protocol.application
        own = (application.id, user_channel(user.id))
        self._unwatch(connection, user)
        self._node.hub.leave(own, connection)
        self._node.interests.release(own)
        try:
            await self._sign_out(application, user.id, connection.socket_id)
        except RegistryUnavailable:
            late = partial(self._sign_out, application, user.id, connection.socket_id)
            self._node.lease.owe(late)

    async def compare(self) -> None:
        """Tell watchers what the registry knows otherwise than they were told, twice in a row.

        At the first time it may be on its way. Raises RegistryUnavailable.
        """
        everybody = tuple(self._told)
        begin = self._turn if self._turn < len(everybody) else 0
        some = sorted(everybody[begin : begin + COMPARED])
        self._turn = begin + COMPARED
        for app_id, group in groupby(some, key=lambda who: who[0]):
            users = [user_id for _, user_id in group]
            online = await self._node.registry.online(app_id, users)
            for user_id in users:
                self._compare(app_id, user_id, user_id in online)

    def _compare(self, app_id: str, user_id: str, online: bool) -> None:
        who = (app_id, user_id)
        if self._told.get(who, online) == online:
            self._doubts.discard(who)
        elif who in self._doubts:
            self.hear(app_id, Online(user_id=user_id, online=online))
        else:
            self._doubts.add(who)

    def tell_watchers(self, application: Application, user_id: str, *, online: bool) -> None:
        """Tell those who watch a user that he came online, or went; on every node."""
        if not application.enable_watchlist_events:
            return
        told = Online(user_id=user_id, online=online)
        if self._node.is_shared:
            self._node.post.send(control.envelope(application.id, told))
        else:
            self.hear(application.id, told)

    def hear(self, app_id: str, told: Online) -> None:
        """Tell those of this node."""
        self._changes += 1
        topic = _watching(app_id, told.user_id)
        if not self._node.hub.count(topic):
            return
        self._told[app_id, told.user_id] = told.online
        self._doubts.discard((app_id, told.user_id))
        come, gone = ([told.user_id], []) if told.online else ([], [told.user_id])
        self._node.hub.send(topic, Frame(messages.watchlist_events(come, gone)))

    async def _sign_out(self, application: Application, user_id: str, socket_id: str) -> None:
        if await self._node.registry.sign_out(application.id, user_id, socket_id):
            self.tell_watchers(application, user_id, online=False)

    async def _watch(self, connection: Connection, user: User) -> None:
        app_id = connection.protocol.application.id
        watched = user.watchlist
        for user_id in watched:
            self._node.hub.join(_watching(app_id, user_id), connection)
        if watched:
            await self._tell_watched(connection, user)
        if user.watchlist_was_cut:
            problem = WatchlistTooLong(f"Only the first {MAX_WATCHLIST} users are watched")
            connection.reply_text(messages.error(problem))

    async def _tell_watched(self, connection: Connection, user: User) -> None:
        online = await self._online(connection.protocol.application.id, user.watchlist)
        if connection.protocol.user is user:
            self._note(connection.protocol.application.id, user, online)
            connection.reply_text(
                messages.watchlist_events(
                    online=[one for one in user.watchlist if one in online],
                    offline=[one for one in user.watchlist if one not in online],
                )
            )

    def _note(self, app_id: str, user: User, online: frozenset[str]) -> None:
        """Remember what one watcher is told; others may have missed it."""
        for user_id in user.watchlist:
            is_online = user_id in online
            if self._told.setdefault((app_id, user_id), is_online) != is_online:
                self.hear(app_id, Online(user_id=user_id, online=is_online))

    async def _online(self, app_id: str, watched: tuple[str, ...]) -> frozenset[str]:
        """Return who is online, asked again if that changed while a registry took its time."""
        online: frozenset[str] = frozenset()
        for _ in range(MAX_LOOKS):
            changes = self._changes
            online = await self._node.registry.online(app_id, watched)
            if changes == self._changes:
                break
        return online

    def _unwatch(self, connection: Connection, user: User) -> None:
        app_id = connection.protocol.application.id
        for user_id in user.watchlist:
            topic = _watching(app_id, user_id)
            self._node.hub.leave(topic, connection)
            if not self._node.hub.count(topic):
                self._told.pop((app_id, user_id), None)
                self._doubts.discard((app_id, user_id))


def _watching(app_id: str, user_id: str) -> Topic:
    # No channel of any client can be called so.
    return app_id, f"#watching-{user_id}"
