"""Who is where, readable by every process. What the registry stores, it never delivers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from broadcasting.protocol.protocol import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a join changed, decided atomically."""

    first_socket: bool
    """The channel was vacant before."""

    first_of_user: bool = False
    """The member had no other socket in the channel."""

    members: Mapping[str, Any] = field(default_factory=dict)
    """User id to user info, the newcomer included; empty unless a member joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a leave changed, decided atomically."""

    last_socket: bool
    last_of_user: bool = False


class BaseRegistry(ABC):
    """Occupancy and members of channels."""

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the registry likes."""

    crosses_processes: ClassVar[bool] = True

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

    @abstractmethod
    async def count(self, app_id: str, channel: str) -> int:
        """Return how many sockets are in ``channel``."""
