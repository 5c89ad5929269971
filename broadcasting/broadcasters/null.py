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
