"""What is told once it is decided that a broadcast will not be sent. Never raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from broadcasting.broadcasts import Broadcast
from broadcasting.signals import broadcast_failed, broadcast_skipped

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast

logger = logging.getLogger("broadcasting.dispatching")


def tell_failure(broadcast: Broadcast, error: Exception, event: ShouldBroadcast | None) -> None:
    """Call ``broadcast_failed()`` of ``event``, and send the signal of that name."""
    logger.debug("Gave up %s: %s", broadcast.id, broadcast.event_label)
    if event is not None:
        try:
            event.broadcast_failed(error)
        except Exception:
            logger.exception("broadcast_failed() of %s has failed itself", broadcast.event_label)
    if broadcast_failed.receivers:
        broadcast_failed.send_robust(Broadcast, broadcast=broadcast, error=error)


def tell_skipped(label: str, number: str, reason: str) -> None:
    """Say that an event was not sent, and why that is no failure."""
    logger.debug("Skipped %s: %s: %s", number, label, reason)
    if broadcast_skipped.receivers:
        broadcast_skipped.send_robust(Broadcast, label=label, id=number, reason=reason)
