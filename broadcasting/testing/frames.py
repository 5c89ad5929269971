"""What a client of the tests gets from the server: frames, decoded and decrypted for reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcasting.protocol.encryption import Undecipherable, decrypt
from broadcasting.protocol.names import RESERVED_PREFIXES


class SocketClosed(AssertionError):
    """The server closed the socket while a frame was awaited; ``code`` says why."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One frame from the server, as pusher-js would show it to a page."""

    event: str
    channel: str | None
    data: Any
    """Decrypted on an encrypted channel, and decoded if it is JSON text, as pusher-js does."""

    user_id: str | None
    frame: str
    """The text as it came."""


def read(frame: str, keys: Mapping[str, bytes]) -> Received:
    """Return what ``frame`` says; ``keys`` are those of encrypted channels, by channel.

    Raises AssertionError for what its channel's key does not open.
    """
    message = json.loads(frame)
    event, channel, data = message["event"], message.get("channel"), message.get("data")
    key = keys.get(channel or "")
    if key is not None and not event.startswith(RESERVED_PREFIXES):
        try:
            data = decrypt(data, key)
        except (Undecipherable, TypeError) as error:
            raise AssertionError(f"{event} on {channel} cannot be decrypted: {error}") from error
    return Received(
        event=event,
        channel=channel,
        data=_decoded(data),
        user_id=message.get("user_id"),
        frame=frame,
    )


def _decoded(data: Any) -> Any:
    if not isinstance(data, str):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data
