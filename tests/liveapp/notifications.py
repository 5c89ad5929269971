from __future__ import annotations

from broadcasting import BroadcastNotification


class Paid(BroadcastNotification):
    """Somebody paid."""

    number: int


class Reminded(Paid):
    """Somebody did not."""
