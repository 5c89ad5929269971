"""The registry of one process: right for one node, per node under a crossing backplane.

Its coroutines never suspend, so that a join and what follows it happen in one step of
the event loop.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from sys import getsizeof
from typing import Any, ClassVar

from broadcasting.expiring import ExpiringMap
from broadcasting.protocol.errors import OverCapacity, PresenceFull
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster
from broadcasting.registry.base import BaseRegistry, Cached, Joined, Left, Occupancy

OVERHEAD = 512
"""Bytes that a kept frame takes beside its text, about."""

Sockets = dict[str, Member | None]
Users = dict[str, dict[str, Any]]
"""User id to that user's sockets with their user info."""


class MemoryRegistry(BaseRegistry):
    """Plain dictionaries; socket ids in the order they joined, the newest last.

    ``OPTIONS``, each for one application: ``max_cached_bytes``, what the frames of cache
    channels may take (64 MB); ``max_keys``, how many idempotency keys are kept at once
    (100,000). Beyond that its oldest go first, and are counted.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset({"max_cached_bytes", "max_keys"})
    crosses_processes: ClassVar[bool] = False
    waits: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        # By application, so that one tenant's names are never walked for another's answer.
        self._sockets: dict[str, dict[str, Sockets]] = defaultdict(dict)
        self._users: dict[str, dict[str, Users]] = defaultdict(dict)
        self._rosters: dict[str, dict[str, Roster]] = defaultdict(dict)
        self._connections: dict[str, set[str]] = defaultdict(set)
        self._signed_in: dict[str, dict[str, set[str]]] = defaultdict(dict)
        self._max_bytes: int = options.get("max_cached_bytes", 67_108_864)
        self._max_keys: int = options.get("max_keys", 100_000)
        # Each application has a bound of its own: nobody's events are another's to push out.
        self._frames: dict[str, ExpiringMap[str, Cached]] = {}
        self._claims: dict[str, ExpiringMap[str, None]] = {}

    @property
    def evicted(self) -> int:
        """Frames and keys that went before their time, since there were too many."""
        frames = sum(kept.evicted for kept in tuple(self._frames.values()))
        return frames + sum(kept.evicted for kept in tuple(self._claims.values()))

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        known = True
        if member is not None:
            users = self._users[app_id].get(channel, {})
            known = member.user_id in users
            if not known and max_members is not None and len(users) >= max_members:
                raise PresenceFull(
                    f"The channel has its limit of {max_members} members", channel=channel
                )
        sockets = self._sockets[app_id].setdefault(channel, {})
        first_socket = not sockets
        # Out and in again: a socket that comes back is the newest, and nobody stays behind
        # when it comes back as somebody else.
        previous = sockets.pop(socket_id, None)
        if previous is not None and (member is None or member.user_id != previous.user_id):
            self._leave_user(app_id, channel, previous.user_id, socket_id)
        sockets[socket_id] = member
        if member is not None:
            self._join_user(app_id, channel, member, socket_id)
        return Joined(first_socket=first_socket, first_of_user=not known, count=len(sockets))

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        sockets = self._sockets[app_id].get(channel)
        if sockets is None or socket_id not in sockets:
            return Left(last_socket=False, count=len(sockets or ()))
        member = sockets.pop(socket_id)
        if not sockets:
            del self._sockets[app_id][channel]
        return Left(
            last_socket=not sockets,
            last_of_user=member is not None
            and self._leave_user(app_id, channel, member.user_id, socket_id),
            count=len(sockets),
        )

    async def members(self, app_id: str, channel: str) -> Mapping[str, Any]:
        users = self._users[app_id].get(channel, {})
        return {user_id: _shown(infos) for user_id, infos in users.items()}

    async def roster(self, app_id: str, channel: str) -> Roster:
        return self._rosters[app_id].get(channel) or Roster(channel)

    async def occupancy(self, app_id: str, channel: str) -> Occupancy:
        return self._occupancy(app_id, channel)

    async def channels(self, app_id: str, prefix: str = "") -> Mapping[str, Occupancy]:
        return {
            channel: self._occupancy(app_id, channel)
            for channel in self._sockets[app_id]
            if channel.startswith(prefix)
        }

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        connections = self._connections[app_id]
        if capacity is not None and len(connections) - (socket_id in connections) >= capacity:
            raise OverCapacity
        connections.add(socket_id)

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        self._connections[app_id].discard(socket_id)

    async def connections(self, app_id: str) -> int:
        return len(self._connections[app_id])

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        sockets = self._signed_in[app_id].setdefault(user_id, set())
        was_offline = not sockets
        sockets.add(socket_id)
        return was_offline

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        users = self._signed_in[app_id]
        if socket_id not in users.get(user_id, ()):
            return False
        users[user_id].discard(socket_id)
        if users[user_id]:
            return False
        del users[user_id]
        return True

    async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(user_ids) & self._signed_in[app_id].keys()

    def remember(self, app_id: str, channel: str, last: Cached) -> None:
        frames = self._frames.get(app_id)
        if frames is None:
            # From any thread: of two that come first, one makes it.
            new = ExpiringMap[str, Cached](self._max_bytes, time.monotonic, _weight)
            frames = self._frames.setdefault(app_id, new)
        frames.put(channel, last, last.ttl)

    async def aremember(self, app_id: str, channel: str, last: Cached) -> None:
        self.remember(app_id, channel, last)

    async def recall(self, app_id: str, channel: str) -> Cached | None:
        frames = self._frames.get(app_id)
        found = None if frames is None else frames.get(channel)
        return None if found is None else replace(found[0], ttl=found[1])

    async def claim(self, app_id: str, key: str, ttl: float) -> bool:
        keys = self._claims.get(app_id)
        if keys is None:
            new = ExpiringMap[str, None](self._max_keys, time.monotonic)
            keys = self._claims.setdefault(app_id, new)
        return keys.add(key, None, ttl)

    async def release(self, app_id: str, key: str) -> None:
        if app_id in self._claims:
            self._claims[app_id].drop(key)

    def _occupancy(self, app_id: str, channel: str) -> Occupancy:
        return Occupancy(
            sockets=len(self._sockets[app_id].get(channel, ())),
            users=len(self._users[app_id].get(channel, ())),
        )

    def _join_user(self, app_id: str, channel: str, member: Member, socket_id: str) -> None:
        users = self._users[app_id].get(channel)
        if users is None:
            users = self._users[app_id][channel] = {}
            self._rosters[app_id][channel] = Roster(channel)
        infos = users.setdefault(member.user_id, {})
        infos.pop(socket_id, None)
        infos[socket_id] = member.user_info
        self._rosters[app_id][channel].put(member.user_id, member.user_info)

    def _leave_user(self, app_id: str, channel: str, user_id: str, socket_id: str) -> bool:
        users, roster = self._users[app_id][channel], self._rosters[app_id][channel]
        infos = users[user_id]
        was_shown = next(reversed(infos)) == socket_id
        del infos[socket_id]
        if infos:
            if was_shown:
                roster.put(user_id, _shown(infos))
            return False
        del users[user_id]
        roster.drop(user_id)
        if not users:
            del self._users[app_id][channel], self._rosters[app_id][channel]
        return True


def _weight(last: Cached) -> int:
    return getsizeof(last.frame) + OVERHEAD


def _shown(infos: dict[str, Any]) -> Any:
    # That of the newest socket, when a user's sockets differ.
    return infos[next(reversed(infos))]
