"""Pots that somebody is waiting for."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models

FIRST_NUMBER = 1001


class Item(models.TextChoices):
    """What the pottery makes."""

    MUG = "mug", "Speckled mug"
    BOWL = "bowl", "Ochre bowl"
    VASE = "vase", "Tall vase"
    PLATE = "plate", "Rimmed plate"

    @property
    def price(self) -> Decimal:
        """In euros."""
        return {
            Item.MUG: Decimal("24.00"),
            Item.BOWL: Decimal("38.00"),
            Item.VASE: Decimal("62.00"),
            Item.PLATE: Decimal("29.50"),
        }[self]


class Order(models.Model):
    """One pot for one customer."""

    class Status(models.TextChoices):
        PLACED = "placed", "In the kiln"
        SHIPPED = "shipped", "Shipped"

    number = models.PositiveIntegerField(unique=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="orders"
    )
    item = models.CharField(max_length=20, choices=Item.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PLACED)
    total = models.DecimalField(max_digits=8, decimal_places=2)
    placed = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        permissions = (("ship_order", "Can ship orders"),)

    def __str__(self) -> str:
        return f"Order {self.number}"

    @classmethod
    def place(cls, *, customer: User, item: Item) -> Order:
        """Create an order under the next number. Needs a transaction."""
        last = cls.objects.aggregate(last=models.Max("number"))["last"]
        return cls.objects.create(
            number=last + 1 if last else FIRST_NUMBER,
            customer=customer,
            item=item,
            total=item.price,
        )


def may_ship(user: object) -> bool:
    """Whether ``user`` works in the pottery."""
    return isinstance(user, User) and user.has_perm("orders.ship_order")
