"""What the pottery tells its customers, wherever on the site they are."""

from __future__ import annotations

from broadcasting import BroadcastNotification


class PotOnItsWay(BroadcastNotification):
    """To the customer's own private channel, which needs no rule: every page listens to it."""

    number: int
    item: str
