"""Who may sit in a room, and what the others see of them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from broadcasting import channel
from example_project.chat.models import Room


@channel("chat.{room:slug}", kinds={"presence"})
async def room_channel(user: User, room: Room) -> dict[str, Any]:
    """Everybody who is signed in. The dict is what the others get to know."""
    return {"id": user.pk, "name": user.get_full_name() or user.get_username()}
