"""Who may hear about which order. Found by itself, like urls.py of an app would not be."""

from __future__ import annotations

from django.contrib.auth.models import User

from broadcasting import channel
from example_project.orders.models import Order, may_ship


@channel("orders.{order}")
def order_channel(user: User, order: Order) -> bool:
    """The customer and the pottery; the order is looked up by what stands in the name."""
    return order.customer_id == user.pk or may_ship(user)


@channel("customers.{pk}")
def customer_channel(user: User, pk: int) -> bool:
    """Everything for one customer, in all tabs."""
    return user.pk == pk


@channel("workshop")
def workshop_channel(user: User) -> bool:
    """Those who ship."""
    return may_ship(user)
