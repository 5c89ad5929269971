"""What the drivers share that send nothing to browsers: nobody is connected to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from broadcasting.broadcasters.base import BaseBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class SilentBroadcaster(BaseBroadcaster):
    """Do nothing that blocks, so that both colours do the same; a subclass says what."""

    known_options: ClassVar[frozenset[str] | None] = frozenset()

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)

    def revoke(self, user_id: str, channel: str) -> None:
        """Do nothing: nobody is connected."""

    async def arevoke(self, user_id: str, channel: str) -> None:
        self.revoke(user_id, channel)

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """Do nothing: nobody is connected."""

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        self.disconnect(user_id, reconnect=reconnect, session=session)
