"""Write broadcasts to the log instead of sending them: for a laptop without a server."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from broadcasting.broadcasters.silent import SilentBroadcaster

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

logger = logging.getLogger("broadcasting.log")


class LogBroadcaster(SilentBroadcaster):
    """Log a readable line and the payload, at level INFO. The one logger that shows payloads."""

    def broadcast(self, broadcast: Broadcast) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        logger.info(
            "Broadcasting %s on %s%s\n%s",
            broadcast.name,
            ", ".join(broadcast.channels),
            f" except to {broadcast.except_socket}" if broadcast.except_socket else "",
            json.dumps(json.loads(broadcast.data), indent=2, ensure_ascii=False),
        )

    def revoke(self, user_id: str, channel: str) -> None:
        logger.info("Revoking %s for user %s", channel, user_id)

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        logger.info("Disconnecting user %s", user_id)
