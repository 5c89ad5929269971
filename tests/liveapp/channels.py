from __future__ import annotations

from typing import Any

from broadcasting import channel


@channel("orders.{number}")
def orders(user: Any, number: int) -> bool:
    return number != 13


@channel("chat.{room}")
async def chat(user: Any, room: str) -> dict[str, Any]:
    return {"id": user.pk, "name": user.username}
