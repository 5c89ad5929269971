"""Who is where, readable by every process. What the registry stores, it never delivers.

Everything is told of one application and one channel; nothing of another is ever in an answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
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

    order: int = 0
    """Grows with every change in the application: what has a lower one was decided before.

    This, and what follows, is of registries that are shared between nodes.
    """

    revision: int = 0
    """The order of the last change of the channel's members, this one included."""

    previous: int = 0
    """The revision before this join; the same if it changed no member and no shown info."""

    channel_returned: bool = False
    """The channel was vacant for so short a time that it never counted as vacated."""

    user_returned: bool = False
    """The same of the member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a leave changed, decided atomically. See Joined for what is not told here."""

    last_socket: bool
    last_of_user: bool = False
    count: int = 0
    """Sockets in the channel now."""

    order: int = 0
    revision: int = 0
    previous: int = 0
    shown: Any = None
    """The user info that counts from now on, if ``revision`` changed and the user is still in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One thing that a node took with it when it died, undone by whoever was given this."""

    app_id: str
    socket_id: str
    channel: str | None = None
    """A channel that the socket was in; None: see ``user_id``."""

    user_id: str | None = None
    """Of a presence channel; without a channel: a user the socket was signed in as."""

    left: Left | None = None
    """What became of the channel."""

    went_offline: bool = False
    """That was the last socket on which the user was signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A channel that stays vacant or a member who stays away: for webhooks and signals."""

    channel: str
    user_id: str | None = None
    """None: the channel itself."""


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
    """Whether every node and every other process sees the same."""

    def enlist(self) -> BaseRegistry:
        """Return what a node of the running loop writes through; called once by each node.

        A shared registry returns an Enlisted of its own; only that can enter sockets.
        """
        return self

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
    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        """Enter a socket that has completed its handshake.

        Raises OverCapacity if the application has ``capacity`` others already.
        """

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


class Enlisted(BaseRegistry):
    """One node's end of a shared registry: what it enters lives as long as the node's lease.

    A node that does not renew its lease in time counts as dead, and any other takes out what it
    had. Time is the shared store's; clocks of nodes do not matter. Whatever enters something
    raises LeaseLost when the lease is gone, and changes nothing then. Everything raises
    RegistryUnavailable when the store is away.
    """

    heartbeat: float = 3.0
    """Seconds between two calls of renew()."""

    sweep_interval: float = 1.0
    """Seconds between two calls of sweep() and departures()."""

    @abstractmethod
    async def renew(self) -> bool:
        """Stay alive for another lease. False: the lease was lost, and the node is a new one.

        It has a new id then and nothing in the registry; what it holds must be entered again.
        """

    @abstractmethod
    async def sweep(self) -> Sequence[Swept]:
        """Take out some of what dead nodes left, decided once for all survivors.

        As long as there is an answer, there may be more.
        """

    @abstractmethod
    async def departures(self) -> Mapping[str, Sequence[Departure]]:
        """Take those that are sure by now, by application; each is given to one node, once."""

    @abstractmethod
    async def revisions(self, app_id: str, channels: Sequence[str]) -> Sequence[int]:
        """Return the revision of each presence channel; 0 for a vacant one."""

    @abstractmethod
    async def resign(self) -> None:
        """Give the lease back; what is still entered is swept by others at once."""
