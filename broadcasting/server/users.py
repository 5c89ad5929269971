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
from broadcasting.registry import Enlisted
from broadcasting.server.connection import Connection
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Topic
from broadcasting.server.rota import Rota

if TYPE_CHECKING:
    from broadcasting.server.node import Node

MAX_LOOKS = 5
"""At who is online, for one watcher: on a busy site somebody always comes or goes."""

COMPARED = 500
"""Watched users of whom the registry is asked at one look."""

Watched = tuple[str, str]
"""Application id and user id."""


class Users:
    """Who is signed in where, and what users are told of one another."""

    def __init__(self, node: Node) -> None:
        self._node = node
        registry = node.registry
        self._grace = registry.heartbeat if isinstance(registry, Enlisted) else 0.0
        self._told: dict[Watched, bool] = {}
        """Whether somebody is online, as watchers of this node were told last, where other nodes
        tell of it, too."""

        self._doubts: dict[Watched, float] = {}
        """Of whom the registry says otherwise, and when it has to be believed."""

        self._rota = Rota(lambda: self._told, COMPARED)
        self._changes = 0
        """How often somebody came online or went."""

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
        """Tell watchers what the registry has known otherwise for long: news of it was lost.

        Until then it may be on its way, or a node may enter its sockets anew. Of some of those
        who are watched, at each look. Raises RegistryUnavailable.
        """
        some = {*self._rota.some(), *self._doubts}
        for app_id, group in groupby(sorted(some), key=lambda watched: watched[0]):
            user_ids = [user_id for _, user_id in group]
            online = await self._node.registry.online(app_id, user_ids)
            for user_id in user_ids:
                self._check((app_id, user_id), is_online=user_id in online)

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
        if self._node.is_shared:
            self._told[app_id, told.user_id] = told.online
            self._doubts.pop((app_id, told.user_id), None)
        come, gone = ([told.user_id], []) if told.online else ([], [told.user_id])
        self._node.hub.send(topic, Frame(messages.watchlist_events(come, gone)))

    def _check(self, watched: Watched, *, is_online: bool) -> None:
        if self._told.get(watched, is_online) == is_online:
            self._doubts.pop(watched, None)
        elif self._doubts.setdefault(watched, self._node.now() + self._grace) <= self._node.now():
            self.hear(watched[0], Online(user_id=watched[1], online=is_online))

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
            app_id = connection.protocol.application.id
            for one in user.watchlist if self._node.is_shared else ():
                self._told.setdefault((app_id, one), one in online)
            connection.reply_text(
                messages.watchlist_events(
                    online=[one for one in user.watchlist if one in online],
                    offline=[one for one in user.watchlist if one not in online],
                )
            )

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
                self._doubts.pop((app_id, user_id), None)


def _watching(app_id: str, user_id: str) -> Topic:
    # No channel of any client can be called so.
    return app_id, f"#watching-{user_id}"
