"""What is done to a user, wherever that user is connected."""

from __future__ import annotations

from typing import Any

from broadcasting.api.limits import take_events
from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.backplanes import get_backplane
from broadcasting.backplanes.control import Revoke, Terminate, now_ms
from broadcasting.backplanes.control import envelope as control_envelope
from broadcasting.protocol.names import is_channel_name, is_user_id, kind_of


async def revoke(request: Request) -> dict[str, Any]:
    """``POST .../users/{user_id}/revoke``: take a user out of a channel on every node.

    The body names the ``channel``. Answers that were signed until now are not good any more.
    """
    _check_user(request)
    channel = request.json().get("channel")
    limit = request.application.max_channel_name_length
    if not isinstance(channel, str) or not is_channel_name(channel, limit):
        raise ApiError(400, "The body must name a 'channel'")
    if not kind_of(channel).guarded:
        raise ApiError(400, "A public channel is open to everybody, so nothing can be revoked")
    take_events(request.application, 1)
    control = Revoke(user_id=request.name, channel=channel, at=now_ms())
    await get_backplane().apublish(control_envelope(request.application.id, control))
    return {}


async def terminate_connections(request: Request) -> dict[str, Any]:
    """``POST .../users/{user_id}/terminate_connections``: end them on every node.

    Clients give up for good, unless the query has ``reconnect=1``. As with Pusher, who is known
    by a presence channel alone is spared, unless it has ``members=1``.
    """
    _check_user(request)
    take_events(request.application, 1)
    reconnect = request.parameters.get("reconnect") == "1"
    members = request.parameters.get("members") == "1"
    control = Terminate(user_id=request.name, reconnect=reconnect, members=members, at=now_ms())
    await get_backplane().apublish(control_envelope(request.application.id, control))
    return {}


def _check_user(request: Request) -> None:
    if not is_user_id(request.name):
        raise ApiError(400, "A user id is text of 1 to 128 characters, none a control character")
