"""What ``info`` asks for beside a channel, counted in the registry."""

from __future__ import annotations

import json
import math
from typing import Any

from broadcasting.api.responses import ApiError
from broadcasting.protocol.names import ChannelKind, is_cache, kind_of
from broadcasting.registry import Occupancy, get_registry

USER_COUNT = "user_count"
SUBSCRIPTION_COUNT = "subscription_count"
CACHE = "cache"
NOTHING: frozenset[str] = frozenset()
COUNTS = frozenset({USER_COUNT, SUBSCRIPTION_COUNT})


def parse_info(info: object, known: frozenset[str] = COUNTS) -> frozenset[str]:
    """Return the attributes in ``info``: names joined by commas, or a list of them.

    Raises ApiError for what is not among the ``known``.
    """
    if info is None or info == "":
        return NOTHING
    names = info.split(",") if isinstance(info, str) else info
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ApiError(400, "'info' must be names joined by commas")
    asked = frozenset(name.strip(" ") for name in names) - {""}
    if unknown := asked - known:
        shown = ", ".join(sorted(repr(name)[:60] for name in unknown))
        raise ApiError(400, f"Unknown in 'info': {shown}; known here: {', '.join(sorted(known))}")
    return asked


def counts(channel: str, occupancy: Occupancy, asked: frozenset[str]) -> dict[str, Any]:
    """Return the counts that were asked for; users are counted in presence channels only."""
    found: dict[str, Any] = {}
    if USER_COUNT in asked and kind_of(channel) is ChannelKind.PRESENCE:
        found[USER_COUNT] = occupancy.users
    if SUBSCRIPTION_COUNT in asked:
        found[SUBSCRIPTION_COUNT] = occupancy.sockets
    return found


def check_applicable(channel: str, asked: frozenset[str]) -> None:
    """Raise ApiError if ``channel`` cannot have one of the attributes."""
    if USER_COUNT in asked and kind_of(channel) is not ChannelKind.PRESENCE:
        raise ApiError(400, "Only presence channels have a 'user_count'")
    if CACHE in asked and not is_cache(channel):
        raise ApiError(400, "Only cache channels have a 'cache'")


async def cached(app_id: str, channel: str) -> dict[str, Any] | None:
    """Return the data of a cache channel's last event and the seconds it is kept, or None."""
    last = await get_registry().recall(app_id, channel)
    if last is None:
        return None
    return {"data": json.loads(last.frame)["data"], "ttl": math.ceil(last.ttl)}
