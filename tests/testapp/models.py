from __future__ import annotations

from django.conf import settings
from django.db import models


class Order(models.Model):
    """What the suite's events are about."""

    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"Order {self.pk}"
