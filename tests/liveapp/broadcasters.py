from __future__ import annotations

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcastRefused


class Refusing(BaseBroadcaster):
    """Takes nothing, however often it is asked."""

    def broadcast(self, broadcast: Broadcast) -> None:
        raise BroadcastRefused("not here", 403)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)
