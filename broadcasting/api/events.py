"""``POST /apps/{id}/events`` and ``/batch_events``: bodies into envelopes, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from broadcasting.api.attributes import NOTHING, counts, parse_info
from broadcasting.api.counters import counters
from broadcasting.api.limits import take_events
from broadcasting.api.repeats import key_of, publish_once
from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.backplanes import Envelope
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.names import (
    is_channel_name,
    is_event_name,
    is_socket_id,
    user_of,
)
from broadcasting.publishing import apublish
from broadcasting.registry import get_registry


async def event(request: Request) -> dict[str, Any]:
    """Publish one event to one channel or many."""
    application, body = request.application, request.json()
    channels = _channels(application, body)
    envelopes = _envelopes(application, body, channels)
    asked = parse_info(body["info"]) if "info" in body else NOTHING
    await _publish(application, body, 1, envelopes)
    if not asked:
        return {}
    return {"channels": {name: await _info(application, name, asked) for name in channels}}


async def batch(request: Request) -> dict[str, Any]:
    """Publish some events with one channel each, in their order."""
    application, body = request.application, request.json()
    items = body.get("batch")
    if not isinstance(items, list) or not items:
        raise ApiError(400, "'batch' must be a list with at least one event")
    limit = application.max_event_batch_size
    if len(items) > limit:
        raise ApiError(400, f"A batch may hold {limit} events, not {len(items)}")
    envelopes: list[Envelope] = []
    asked: list[frozenset[str]] = []
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise ApiError(400, f"Item {number} of the batch must be an object")
        envelopes += _envelopes(application, item, [item.get("channel")])
        asked.append(parse_info(item.get("info")))
    await _publish(application, body, len(items), envelopes)
    if not any(asked):
        return {}
    names = [envelope.channel for envelope in envelopes]
    pairs = zip(names, asked, strict=True)
    return {"batch": [await _info(application, name, wanted) for name, wanted in pairs]}


PUBLISHING = (event, batch)
"""The endpoints that do once what has an ``idempotency_key``."""


async def _publish(
    application: Application, body: dict[str, Any], number: int, envelopes: Sequence[Envelope]
) -> None:
    key = key_of(body) if "idempotency_key" in body else None
    take_events(application, number)
    if key is None:
        for envelope in envelopes:
            await apublish(envelope)
    else:
        await publish_once(application, key, envelopes)
    counters.events += number


async def _info(application: Application, channel: str, asked: frozenset[str]) -> dict[str, Any]:
    if not asked or user_of(channel) is not None:
        return {}
    return counts(channel, await get_registry().occupancy(application.id, channel), asked)


def _channels(application: Application, body: dict[str, Any]) -> list[Any]:
    """Return the channels of an event, each once; whether they are names is not looked at."""
    if "channels" not in body:
        return [body.get("channel")]
    channels = body["channels"]
    if not isinstance(channels, list) or not channels:
        raise ApiError(400, "'channels' must be a list with at least one channel")
    limit = application.max_event_channels_at_once
    if len(channels) > limit:
        raise ApiError(400, f"An event may go to {limit} channels at once, not {len(channels)}")
    if len(channels) == 1:
        return channels
    _check_channels(application, channels)  # a list in it could not be hashed
    return list(dict.fromkeys(channels))


def _envelopes(
    application: Application, body: dict[str, Any], channels: Sequence[Any]
) -> list[Envelope]:
    """Return one envelope for each channel. Raises ApiError."""
    name = body.get("name")
    if not is_event_name(name, application.max_event_name_length):
        raise ApiError(
            400,
            f"'name' must be text of 1 to {application.max_event_name_length} characters that"
            " does not begin with 'pusher:' or 'pusher_internal:'",
        )
    data = _data(application, body)
    socket_id = body.get("socket_id")
    if socket_id is not None and not is_socket_id(socket_id):
        raise ApiError(400, "'socket_id' must be digits, a dot and digits")
    _check_channels(application, channels)
    return [
        Envelope(
            app_id=application.id,
            channel=channel,
            frame=messages.event(str(name), channel, data),
            except_socket=socket_id,
        )
        for channel in channels
    ]


def _data(application: Application, body: dict[str, Any]) -> str:
    data = body.get("data")
    if not isinstance(data, str):
        if data is None or not application.enable_structured_data:
            raise ApiError(400, "'data' must be a string (encode structures as JSON first)")
        data = messages.encode(data)
    # Text of ASCII alone has as many bytes as characters.
    size = len(data) if data.isascii() else len(data.encode("utf-8", "surrogatepass"))
    if size > application.max_event_payload_kb * 1024:
        raise ApiError(413, f"'data' is larger than {application.max_event_payload_kb} KB")
    return data


def _check_channels(application: Application, channels: Sequence[Any]) -> None:
    for channel in channels:
        if not is_channel_name(channel, application.max_channel_name_length) and not (
            isinstance(channel, str) and user_of(channel) is not None
        ):
            raise ApiError(400, f"Invalid channel name {_shown(channel)}")


def _shown(value: object) -> str:
    return repr(value if isinstance(value, str) else type(value).__name__)[:220]
