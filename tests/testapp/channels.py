"""Rules as a project would write them; found by autodiscovery."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from broadcasting import ChannelRoute, channel
from tests.testapp.models import Order


@channel("orders.{order}")
def order_channel(user: User, order: Order) -> bool:
    return order.customer_id == user.pk


@channel("chat.{room_id}")
async def chat(user: User, room_id: int) -> dict[str, Any]:
    return {"id": user.pk, "name": user.username}


@channel("staff.{section}")
class StaffChannel(ChannelRoute):
    def join(self, user: User, section: str) -> bool:
        return user.is_staff
