"""What travels: client messages decoded into values, server messages built into frames.

A frame is the exact compact JSON text a client gets, keys in the order event, data,
channel. ``data`` of the protocol's own events is double-encoded where Pusher has it so;
a program's event carries its data string untouched, even if it is not JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from typing import Any, Never

from broadcasting.protocol.errors import InvalidMessage, ProtocolError, SubscriptionRefused
from broadcasting.protocol.names import CLIENT_PREFIX

PONG = '{"event":"pusher:pong","data":"{}"}'
PING = '{"event":"pusher:ping","data":"{}"}'

MAX_NESTING = 512
"""Levels of objects and lists in what a peer sends. Deeper, it could not be relayed: an
encoder has a stack too, and so have the decoders of other clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    channel: str
    auth: str | None = None
    channel_data: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    channel: str


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent:
    """A whisper: one client's event for the other subscribers of a channel."""

    event: str
    channel: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Signin:
    """Who the connection says it belongs to, signed by the application."""

    auth: str | None
    user_data: str


ClientMessage = Subscribe | Unsubscribe | Ping | Pong | ClientEvent | Signin


# Made once; json.dumps() would make one for each call.
write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Return compact JSON, which need not be UTF-8; raise ValueError for NaN and infinity."""


def encode(value: Any) -> str:
    """Return compact JSON; raise ValueError for NaN and infinity, which browsers refuse."""
    text = write_json(value)
    if not is_utf8(text):  # a lone surrogate is legal in JSON, but not in UTF-8
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def decode_json(text: str) -> Any:
    """Return the value of ``text``, which ``encode`` takes as well.

    Raises InvalidMessage for whatever is not JSON, is nested too deeply, or holds a number
    too large for a float.
    """
    try:
        value = _read_json(text)
    except RecursionError:  # before Python 3.12 the decoder has a lower limit than ours
        raise InvalidMessage("JSON is nested too deeply") from None
    except ValueError:
        raise InvalidMessage("Invalid JSON") from None
    # Brackets first: hardly any text has so many, and only those few are worth a walk.
    if text.count("[") + text.count("{") > MAX_NESTING and _too_deep(value):
        raise InvalidMessage("JSON is nested too deeply")
    return value


def decode(text: str) -> ClientMessage:
    """Return the message in one text frame, or raise InvalidMessage with what is missing."""
    message = decode_json(text)
    if not isinstance(message, dict):
        raise InvalidMessage("A message must be a JSON object")
    event = message.get("event")
    if not isinstance(event, str):
        raise InvalidMessage("A message must have a string 'event'")
    if event.startswith(CLIENT_PREFIX):
        return _client_event(event, message)
    match event:
        case "pusher:ping":
            return Ping()
        case "pusher:pong":
            return Pong()
        case "pusher:subscribe":
            data = _object(event, message.get("data"))
            return Subscribe(
                channel=_channel(event, data),
                auth=_optional(event, data, "auth"),
                channel_data=_optional(event, data, "channel_data"),
            )
        case "pusher:unsubscribe":
            return Unsubscribe(channel=_channel(event, _object(event, message.get("data"))))
        case "pusher:signin":
            data = _object(event, message.get("data"))
            user_data = _optional(event, data, "user_data")
            if user_data is None:
                raise InvalidMessage(f"{event} must have a string 'user_data'")
            return Signin(auth=_optional(event, data, "auth"), user_data=user_data)
    raise InvalidMessage("Unknown event; client events begin with 'client-'")


def connection_established(socket_id: str, activity_timeout: int) -> str:
    """Return the first frame of every connection. ``activity_timeout`` in whole seconds."""
    data = {"socket_id": socket_id, "activity_timeout": activity_timeout}
    return encode({"event": "pusher:connection_established", "data": encode(data)})


def event(name: str, channel: str, data: Any, user_id: str | None = None) -> str:
    """Return an event's frame. ``data`` is a string from a program, any JSON in a whisper."""
    if isinstance(data, str) and user_id is None:
        # What programs publish, many times a second: written down without the encoder's setup.
        text = f'{{"event":{_quoted(name)},"data":{_quoted(data)},"channel":{_quoted(channel)}}}'
        if is_utf8(text):
            return text
    frame: dict[str, Any] = {"event": name, "data": data, "channel": channel}
    if user_id is not None:
        frame["user_id"] = user_id
    return encode(frame)


def error(problem: ProtocolError) -> str:
    """Return the ``pusher:error`` frame of ``problem``."""
    frame: dict[str, Any] = {
        "event": "pusher:error",
        "data": {"message": problem.message, "code": problem.code},
    }
    if problem.channel is not None:
        frame["channel"] = problem.channel
    return encode(frame)


def subscription_error(problem: SubscriptionRefused) -> str:
    """Return the frame that Echo's ``.error()`` callback listens to."""
    data = {"type": problem.kind, "error": problem.message, "status": problem.status}
    return event("pusher:subscription_error", problem.channel or "", data)


def subscription_succeeded(channel: str) -> str:
    """Return the answer to a subscription; that of a presence channel is Roster.answer."""
    return event("pusher_internal:subscription_succeeded", channel, "{}")


def cache_miss(channel: str) -> str:
    """Return the frame behind a subscription to a cache channel that keeps nothing."""
    return encode({"event": "pusher:cache_miss", "channel": channel})


def subscription_count(channel: str, count: int) -> str:
    """Return the frame that tells subscribers how many connections ``channel`` has."""
    data = encode({"subscription_count": count})
    return event("pusher_internal:subscription_count", channel, data)


def signin_success(user_data: str) -> str:
    """Return the answer to a sign-in; ``user_data`` exactly as it was received."""
    return encode({"event": "pusher:signin_success", "data": {"user_data": user_data}})


def watchlist_events(online: Iterable[str] = (), offline: Iterable[str] = ()) -> str:
    """Return the frame that tells a watcher which users came and which went."""
    changes = (("online", [*online]), ("offline", [*offline]))
    events = [{"name": name, "user_ids": user_ids} for name, user_ids in changes if user_ids]
    return encode({"event": "pusher_internal:watchlist_events", "data": encode({"events": events})})


def member_added(channel: str, user_id: str, user_info: Any) -> str:
    """Return the frame that tells the others of a user's first socket in ``channel``."""
    data = encode({"user_id": user_id, "user_info": user_info})
    return event("pusher_internal:member_added", channel, data)


def member_removed(channel: str, user_id: str) -> str:
    """Return the frame that tells the others of a user's last socket leaving ``channel``."""
    return event("pusher_internal:member_removed", channel, encode({"user_id": user_id}))


def is_utf8(text: str) -> bool:
    """Whether ``text`` can be sent, which a lone surrogate cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _client_event(name: str, message: dict[str, Any]) -> ClientEvent:
    channel = message.get("channel")
    if not isinstance(channel, str) or "data" not in message:
        raise InvalidMessage("A client event must have a string 'channel' and 'data'")
    return ClientEvent(event=name, channel=channel, data=message["data"])


def _object(event: str, data: Any) -> dict[str, Any]:
    # Some clients send the data of a subscription as a JSON string.
    if isinstance(data, str):
        data = decode_json(data)
    if not isinstance(data, dict):
        raise InvalidMessage(f"'data' of {event} must be an object")
    return data


def _channel(event: str, data: dict[str, Any]) -> str:
    channel = data.get("channel")
    if not isinstance(channel, str):
        raise InvalidMessage(f"{event} must have a string 'channel'")
    return channel


def _optional(event: str, data: dict[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidMessage(f"'{key}' of {event} must be a string")
    return value


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_read_json = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_NESTING + 1):
        containers = [part for part in level if isinstance(part, dict | list)]
        if not containers:
            return False
        level = [
            child
            for part in containers
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    return True
