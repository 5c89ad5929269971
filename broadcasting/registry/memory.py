"""The registry of one process: right for one node, per node under a crossing backplane.

Its coroutines never suspend, so that a join and what follows it happen in one step of
the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from broadcasting.protocol.errors import PresenceFull
from broadcasting.protocol.protocol import Member
from broadcasting.registry.base import BaseRegistry, Joined, Left

Key = tuple[str, str]


class MemoryRegistry(BaseRegistry):
    """Plain dictionaries; socket ids in the order they joined, the newest last."""

    known_options: ClassVar[frozenset[str] | None] = frozenset()
    crosses_processes: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._sockets: dict[Key, dict[str, Member | None]] = {}
        self._users: dict[Key, dict[str, dict[str, Any]]] = {}
        """Channel to user id to that user's sockets with their user info."""

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        key = (app_id, channel)
        users = self._users.get(key, {})
        known = member is None or member.user_id in users
        if not known and max_members is not None and len(users) >= max_members:
            raise PresenceFull(
                f"The channel has its limit of {max_members} members", channel=channel
            )
        sockets = self._sockets.setdefault(key, {})
        first_socket = not sockets
        # Out and in again: a socket that comes back is the newest, and nobody stays behind
        # when it comes back as somebody else.
        previous = sockets.pop(socket_id, None)
        if previous is not None:
            self._leave_user(key, previous.user_id, socket_id)
        sockets[socket_id] = member
        if member is None:
            return Joined(first_socket=first_socket)
        users = self._users.setdefault(key, {})
        users.setdefault(member.user_id, {})[socket_id] = member.user_info
        return Joined(
            first_socket=first_socket, first_of_user=not known, members=self._infos(users)
        )

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        key = (app_id, channel)
        sockets = self._sockets.get(key)
        if sockets is None or socket_id not in sockets:
            return Left(last_socket=False)
        member = sockets.pop(socket_id)
        if not sockets:
            del self._sockets[key]
        last_of_user = member is not None and self._leave_user(key, member.user_id, socket_id)
        return Left(last_socket=not sockets, last_of_user=last_of_user)

    async def members(self, app_id: str, channel: str) -> Mapping[str, Any]:
        return self._infos(self._users.get((app_id, channel), {}))

    async def count(self, app_id: str, channel: str) -> int:
        return len(self._sockets.get((app_id, channel), ()))

    def _leave_user(self, key: Key, user_id: str, socket_id: str) -> bool:
        users = self._users[key]
        del users[user_id][socket_id]
        if users[user_id]:
            return False
        del users[user_id]
        if not users:
            del self._users[key]
        return True

    @staticmethod
    def _infos(users: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        # The newest socket's info is shown when a user's sockets differ.
        return {user_id: infos[next(reversed(infos))] for user_id, infos in users.items()}
