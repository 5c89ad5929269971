"""Who is where: the channels of an application, one of them, its users, and all connections."""

from __future__ import annotations

from typing import Any

from broadcasting.api.attributes import (
    CACHE,
    COUNTS,
    USER_COUNT,
    cached,
    check_applicable,
    counts,
    parse_info,
)
from broadcasting.api.limits import take_read
from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.protocol.names import ChannelKind, is_channel_name, kind_of
from broadcasting.registry import get_registry


async def channels(request: Request) -> dict[str, Any]:
    """``GET .../channels``: the occupied ones, by ``filter_by_prefix``, with ``info``."""
    take_read(request.application)
    asked = parse_info(request.parameters.get("info"))
    prefix = request.parameters.get("filter_by_prefix", "")
    if USER_COUNT in asked and not prefix.startswith(ChannelKind.PRESENCE.value):
        raise ApiError(400, "'user_count' needs a 'filter_by_prefix' that begins with 'presence-'")
    occupied = await get_registry().channels(request.application.id, prefix)
    return {
        "channels": {
            name: counts(name, occupancy, asked)
            for name, occupancy in occupied.items()
            if not name.startswith("#")  # the server's own
        }
    }


async def channel(request: Request) -> dict[str, Any]:
    """``GET .../channels/{channel}``: whether it is occupied, and what ``info`` asks for."""
    take_read(request.application)
    app_id, name = request.application.id, _channel(request)
    asked = parse_info(request.parameters.get("info"), COUNTS | {CACHE})
    check_applicable(name, asked)
    occupancy = await get_registry().occupancy(app_id, name)
    found = {"occupied": occupancy.sockets > 0, **counts(name, occupancy, asked)}
    return {**found, CACHE: await cached(app_id, name)} if CACHE in asked else found


async def users(request: Request) -> dict[str, Any]:
    """``GET .../channels/{channel}/users``: the ids of a presence channel's members."""
    take_read(request.application)
    name = _channel(request)
    if kind_of(name) is not ChannelKind.PRESENCE:
        raise ApiError(400, "Only presence channels have users")
    members = await get_registry().members(request.application.id, name)
    if request.parameters.get("with_user_info") == "1":  # soketi's
        return {"users": [{"id": id_, "user_info": info} for id_, info in members.items()]}
    return {"users": [{"id": user_id} for user_id in members]}


async def connections(request: Request) -> dict[str, Any]:
    """``GET .../connections``: how many sockets are connected (Reverb's)."""
    take_read(request.application)
    return {"connections": await get_registry().connections(request.application.id)}


def _channel(request: Request) -> str:
    if not is_channel_name(request.name, request.application.max_channel_name_length):
        raise ApiError(400, f"Invalid channel name {request.name!r:.220}")
    return request.name
