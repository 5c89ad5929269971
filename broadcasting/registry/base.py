"""Who is where, readable by every process. What the registry stores, it never delivers.

Everything is told of one application and one channel; nothing of another is ever in an answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from broadcasting.families import MayWait
from broadcasting.protocol.protocol import Member
from broadcasting.protocol.roster import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a join changed, decided atomically."""

    first_socket: bool
    """The channel was vacant before."""

    first_of_user: bool = False
    """The member had no other socket in the channel."""

    count: int = 0
    """Sockets in the channel now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a leave changed, decided atomically."""

    last_socket: bool
    last_of_user: bool = False
    count: int = 0
    """Sockets in the channel now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How many are in one channel."""

    sockets: int
    users: int = 0
    """Of a presence channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """The last frame of a cache channel."""

    frame: str
    id: str
    """Of the envelope that brought it, so that nobody gets it twice."""

    ttl: float
    """Seconds that it is kept from now on."""


class BaseRegistry(MayWait, ABC):
    """Occupancy, members, connections, users that are signed in, and last frames.

    One node's questions about one channel are answered in the order in which they were decided.
    A node relies on it: who is told the members of a channel is told of every change after that,
    and of none before.
    """

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the registry likes."""

    crosses_processes: ClassVar[bool] = True

    # -- channels ---------------------------------------------------------------------------

    @abstractmethod
    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        """Enter a socket. Raises PresenceFull; a second socket of a member always fits."""

    @abstractmethod
    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        """Remove a socket; unknown ones change nothing."""

    @abstractmethod
    async def members(self, app_id: str, channel: str) -> Mapping[str, Any]:
        """Return user id to user info of a presence channel."""

    async def roster(self, app_id: str, channel: str) -> Roster:
        """Return the members of a presence channel, ready to be told; asked after joins.

        One question may serve many joins. The answer is read before anything else is waited
        for, so it may be what the registry itself goes on with, and one that keeps it between
        changes spares every newcomer the encoding of all others.
        """
        return Roster(channel, await self.members(app_id, channel))

    @abstractmethod
    async def occupancy(self, app_id: str, channel: str) -> Occupancy:
        """Return how many are in ``channel``."""

    @abstractmethod
    async def channels(self, app_id: str, prefix: str = "") -> Mapping[str, Occupancy]:
        """Return the occupied channels whose names begin with ``prefix``."""

    # -- connections and users --------------------------------------------------------------

    @abstractmethod
    async def connect(self, app_id: str, socket_id: str) -> None:
        """Enter a socket that has completed its handshake."""

    @abstractmethod
    async def disconnect(self, app_id: str, socket_id: str) -> None:
        """Remove a socket; unknown ones change nothing."""

    @abstractmethod
    async def connections(self, app_id: str) -> int:
        """Return how many sockets are connected, whatever they joined."""

    @abstractmethod
    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        """Enter a socket of a user; return whether the user was offline before."""

    @abstractmethod
    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        """Remove a socket of a user; return whether that was the last one."""

    @abstractmethod
    async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
        """Return those of ``user_ids`` that are signed in on at least one socket."""

    # -- what is kept for a while; written by senders, in whatever colour they are -----------

    @abstractmethod
    def remember(self, app_id: str, channel: str, last: Cached) -> None:
        """Keep the last frame of a cache channel for ``last.ttl`` seconds. From any thread."""

    @abstractmethod
    async def aremember(self, app_id: str, channel: str, last: Cached) -> None:
        """See remember()."""

    @abstractmethod
    async def recall(self, app_id: str, channel: str) -> Cached | None:
        """Return the last frame of a cache channel, if it is still kept."""

    @abstractmethod
    async def claim(self, app_id: str, key: str, ttl: float) -> bool:
        """Take ``key`` for ``ttl`` seconds; return False if somebody has it already."""

    @abstractmethod
    async def release(self, app_id: str, key: str) -> None:
        """Give back what claim() took, since it came to nothing."""
