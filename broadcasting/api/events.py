"""``POST /apps/{id}/events`` and ``/batch_events``: bodies into envelopes, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from broadcasting.api.responses import ApiError
from broadcasting.backplanes import Envelope
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.names import is_channel_name, is_event_name, is_socket_id


def event(application: Application, body: dict[str, Any]) -> list[Envelope]:
    """Return one envelope for each channel of an event. Raises ApiError."""
    if "channels" in body:
        channels = body["channels"]
        if not isinstance(channels, list) or not channels:
            raise ApiError(400, "'channels' must be a list with at least one channel")
    else:
        channels = [body.get("channel")]
    limit = application.max_event_channels_at_once
    if len(channels) > limit:
        raise ApiError(400, f"An event may go to {limit} channels at once, not {len(channels)}")
    return list(_envelopes(application, body, channels))


def batch(application: Application, body: dict[str, Any]) -> list[Envelope]:
    """Return the envelopes of a batch in its order. Raises ApiError for the first bad item."""
    items = body.get("batch")
    if not isinstance(items, list) or not items:
        raise ApiError(400, "'batch' must be a list with at least one event")
    limit = application.max_event_batch_size
    if len(items) > limit:
        raise ApiError(400, f"A batch may hold {limit} events, not {len(items)}")
    envelopes: list[Envelope] = []
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise ApiError(400, f"Item {number} of the batch must be an object")
        envelopes += _envelopes(application, item, [item.get("channel")])
    return envelopes


def _envelopes(
    application: Application, body: dict[str, Any], channels: list[Any]
) -> Iterator[Envelope]:
    name, data = body.get("name"), body.get("data")
    if not is_event_name(name, application.max_event_name_length):
        raise ApiError(
            400,
            f"'name' must be text of 1 to {application.max_event_name_length} characters that"
            " does not begin with 'pusher:' or 'pusher_internal:'",
        )
    if not isinstance(data, str):
        raise ApiError(400, "'data' must be a string (encode structures as JSON first)")
    if len(data.encode("utf-8", "surrogatepass")) > application.max_event_payload_kb * 1024:
        raise ApiError(413, f"'data' is larger than {application.max_event_payload_kb} KB")
    socket_id = body.get("socket_id")
    if socket_id is not None and not is_socket_id(socket_id):
        raise ApiError(400, "'socket_id' must be digits, a dot and digits")
    for channel in channels:
        if not is_channel_name(channel, application.max_channel_name_length):
            raise ApiError(400, f"Invalid channel name {_shown(channel)}")
    for channel in dict.fromkeys(channels):
        yield Envelope(
            app_id=application.id,
            channel=channel,
            frame=messages.event(str(name), channel, data),
            except_socket=socket_id,
        )


def _shown(value: object) -> str:
    return repr(value if isinstance(value, str) else type(value).__name__)[:220]
