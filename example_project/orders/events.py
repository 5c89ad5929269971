"""What the two sides of an order tell each other."""

from __future__ import annotations

from typing import Any

from broadcasting import PrivateChannel, ShouldBroadcast
from example_project.orders.models import Order


class OrderShipped(ShouldBroadcast):
    """The order left the pottery."""

    order: Order

    class Meta:
        fields = {"order": ["id", "number", "status"]}

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.order.pk}")


class OrderPlaced(ShouldBroadcast):
    """Somebody wants a pot: for the workshop, and for the customer's other tabs."""

    order: Order

    def broadcast_on(self) -> list[PrivateChannel]:
        return [
            PrivateChannel("workshop"),
            PrivateChannel(f"customers.{self.order.customer_id}"),
        ]

    def broadcast_with(self) -> dict[str, Any]:
        """Send as little as the page needs: it fetches the card that its visitor may see."""
        return {"id": self.order.pk, "number": self.order.number}
