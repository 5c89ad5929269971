"""Events as a project would write them."""

from __future__ import annotations

from broadcasting import Channel, PrivateChannel, ShouldBroadcast
from tests.testapp.models import Order


class OrderShipped(ShouldBroadcast):
    order: Order
    tracking_code: str = ""

    class Meta:
        fields = {"order": ["id", "status"]}  # noqa: RUF012

    def broadcast_on(self) -> Channel:
        return PrivateChannel(f"orders.{self.order.pk}")


class OrderCancelled(ShouldBroadcast):
    order: Order

    class Meta:
        fields = {"order": ["id"]}  # noqa: RUF012
        name = "order.cancelled"
        queue = "realtime"
        to_others = True

    def broadcast_on(self) -> Order:
        return self.order


class Ticked(ShouldBroadcast):
    """Carries no model and needs no database."""

    number: int = 0

    def broadcast_on(self) -> str:
        return "ticker"
