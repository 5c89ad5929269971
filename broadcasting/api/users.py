"""What is done to a user, wherever that user is connected."""

from __future__ import annotations

from typing import Any

from broadcasting.api.limits import take_events
from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.backplanes import get_backplane
from broadcasting.backplanes.control import Terminate
from broadcasting.backplanes.control import envelope as control_envelope
from broadcasting.protocol.names import is_user_id


async def terminate_connections(request: Request) -> dict[str, Any]:
    """``POST .../users/{user_id}/terminate_connections``: end them on every node.

    Clients give up for good, unless the query has ``reconnect=1``.
    """
    if not is_user_id(request.name):
        raise ApiError(400, "A user id is text of 1 to 128 characters, none a control character")
    take_events(request.application, 1)
    reconnect = request.parameters.get("reconnect") == "1"
    control = Terminate(user_id=request.name, reconnect=reconnect)
    await get_backplane().apublish(control_envelope(request.application.id, control))
    return {}
