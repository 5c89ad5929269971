"""Send nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.broadcasters.silent import SilentBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class NullBroadcaster(SilentBroadcaster):
    """Drop every broadcast."""

    def broadcast(self, broadcast: Broadcast) -> None:
        """Do nothing."""
