"""What anybody may ask the store, and keep there for a while; it enters no sockets."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from broadcasting.exceptions import RegistryUnavailable
from broadcasting.protocol.roster import Roster
from broadcasting.redis_clients import UNREACHABLE, RedisClients, Word
from broadcasting.registry.base import BaseRegistry, Cached, Occupancy

CHANNELS_AT_ONCE = 500
USERS_AT_ONCE = 500


class RedisReads(BaseRegistry):
    """``prefix``: of all keys, one for each site on a server."""

    def __init__(self, clients: RedisClients, prefix: str) -> None:
        self.prefix = prefix
        self._clients = clients
        self._bases: dict[str, str] = {}

    def base(self, app_id: str) -> str:
        """Return how the keys of an application begin: all with one hash tag."""
        found = self._bases.get(app_id)
        if found is None:
            found = self._bases[app_id] = f"{{{self.prefix}:{quote(app_id, safe='')}}}:"
        return found

    @abstractmethod
    def _ask(self, app_id: str, name: str, *words: Word) -> Awaitable[Any]:
        """Call a function of the script. Raises RegistryUnavailable."""

    @abstractmethod
    def _command(self, *words: Word) -> Awaitable[Any]:
        """Send a command of the store's own. Raises RegistryUnavailable."""

    async def members(self, app_id: str, channel: str) -> Mapping[str, Any]:
        _, members = await self._members(app_id, channel)
        return members

    async def roster(self, app_id: str, channel: str) -> Roster:
        revision, members = await self._members(app_id, channel)
        return Roster(channel, members, revision)

    async def occupancy(self, app_id: str, channel: str) -> Occupancy:
        sockets, users = await self._ask(app_id, "occupancy", packed(channel))
        return Occupancy(sockets=sockets, users=users)

    async def channels(self, app_id: str, prefix: str = "") -> Mapping[str, Occupancy]:
        found: dict[str, Occupancy] = {}
        # No byte of a name is as high as the last one here.
        since, until = b"[" + packed(prefix), b"(" + packed(prefix) + b"\xff"
        while True:
            some = await self._ask(app_id, "channels", since, until, CHANNELS_AT_ONCE)
            for channel, sockets, users in some:
                found[unpacked(channel)] = Occupancy(sockets=sockets, users=users)
            if len(some) < CHANNELS_AT_ONCE:
                return found
            since = b"(" + packed(unpacked(some[-1][0]))

    async def connections(self, app_id: str) -> int:
        count: int = await self._ask(app_id, "connections")
        return count

    async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        found, asked = set[str](), list(user_ids)
        for start in range(0, len(asked), USERS_AT_ONCE):
            some = asked[start : start + USERS_AT_ONCE]
            answers = await self._ask(app_id, "online", *map(packed, some))
            found.update(user for user, is_in in zip(some, answers, strict=True) if is_in)
        return frozenset(found)

    async def revisions(self, app_id: str, channels: Sequence[str]) -> Sequence[int]:
        """Return the revision of each presence channel; 0 for a vacant one."""
        if not channels:
            return []
        answers = await self._ask(app_id, "revisions", *map(packed, channels))
        return [int(revision or 0) for revision in answers]

    def remember(self, app_id: str, channel: str, last: Cached) -> None:
        if ttl := _milliseconds(last.ttl):
            try:
                self._clients.client.set(self._frame(app_id, channel), _written(last), px=ttl)
            except UNREACHABLE as error:
                raise RegistryUnavailable(f"{self._clients.place} failed: {error}") from error

    async def aremember(self, app_id: str, channel: str, last: Cached) -> None:
        if ttl := _milliseconds(last.ttl):
            await self._command("SET", self._frame(app_id, channel), _written(last), "PX", ttl)

    async def recall(self, app_id: str, channel: str) -> Cached | None:
        kept, ttl = await self._ask(app_id, "recall", packed(channel))
        if kept is None or ttl <= 0:
            return None
        frame, id_ = json.loads(kept)
        return Cached(frame=frame, id=id_, ttl=ttl / 1000)

    async def claim(self, app_id: str, key: str, ttl: float) -> bool:
        taken = await self._command(
            "SET", self._claim(app_id, key), "", "NX", "PX", max(1, _milliseconds(ttl))
        )
        return bool(taken)

    async def release(self, app_id: str, key: str) -> None:
        await self._command("DEL", self._claim(app_id, key))

    async def _members(self, app_id: str, channel: str) -> tuple[int, dict[str, Any]]:
        revision, answer = await self._ask(app_id, "members", packed(channel))
        came: list[tuple[int, str, Any]] = []
        for user_id, said in zip(answer[::2], answer[1::2], strict=True):
            since, info = unpacked(said).split("\n", 1)
            came.append((int(since), unpacked(user_id), info))
        came.sort()
        return int(revision), {user_id: json.loads(info) for _, user_id, info in came}

    def _frame(self, app_id: str, channel: str) -> bytes:
        return packed(f"{self.base(app_id)}cache:{channel}")

    def _claim(self, app_id: str, key: str) -> bytes:
        return packed(f"{self.base(app_id)}claim:{key}")


def packed(text: str) -> bytes:
    """Return ``text`` as it is kept; ids of users may hold half of a character."""
    return text.encode(errors="surrogatepass")


def unpacked(kept: bytes | str) -> str:
    """Undo packed(), unless the URL of the server has redis-py do so."""
    return kept if isinstance(kept, str) else kept.decode(errors="surrogatepass")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _written(last: Cached) -> str:
    return json.dumps([last.frame, last.id])
