"""Keep broadcasts in a list of this process, as Django's locmem mail backend does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from broadcasting.broadcasters.base import BaseBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class LocmemBroadcaster(BaseBroadcaster):
    """Append to ``LocmemBroadcaster.outbox``, shared by every alias; ``clear()`` it in tests."""

    known_options: ClassVar[frozenset[str] | None] = frozenset()
    outbox: ClassVar[list[Broadcast]] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        self.outbox.append(broadcast)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.outbox.append(broadcast)

    def revoke(self, user_id: str, channel: str) -> None:
        """Do nothing: nobody is connected."""

    async def arevoke(self, user_id: str, channel: str) -> None:
        """Do nothing: nobody is connected."""

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """Do nothing: nobody is connected."""

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        """Do nothing: nobody is connected."""

    @classmethod
    def clear(cls) -> None:
        """Empty the outbox."""
        cls.outbox.clear()
