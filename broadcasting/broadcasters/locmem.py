"""Keep broadcasts in a list of this process, as Django's locmem mail backend does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from broadcasting.broadcasters.silent import SilentBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


class LocmemBroadcaster(SilentBroadcaster):
    """Append to ``LocmemBroadcaster.outbox``, shared by every alias; ``clear()`` it in tests."""

    outbox: ClassVar[list[Broadcast]] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        self.outbox.append(broadcast)

    @classmethod
    def clear(cls) -> None:
        """Empty the outbox."""
        cls.outbox.clear()
