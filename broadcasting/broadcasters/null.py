"""Send nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from broadcasting.broadcasters.base import BaseBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class NullBroadcaster(BaseBroadcaster):
    """Drop every broadcast."""

    known_options: ClassVar[frozenset[str] | None] = frozenset()

    def broadcast(self, broadcast: Broadcast) -> None:
        """Do nothing."""

    async def abroadcast(self, broadcast: Broadcast) -> None:
        """Do nothing."""

    def revoke(self, user_id: str, channel: str) -> None:
        """Do nothing."""

    async def arevoke(self, user_id: str, channel: str) -> None:
        """Do nothing."""

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """Do nothing."""

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """Do nothing."""
