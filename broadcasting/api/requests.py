"""One request of the HTTP API as its endpoints see it: verified, its body not decoded yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from broadcasting.api.responses import ApiError
from broadcasting.protocol.application import Application
from broadcasting.typing import Receive, Scope

_decoder = msgspec.json.Decoder()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what."""

    application: Application
    name: str
    """The channel or the user id in the path; empty where there is none."""

    parameters: Mapping[str, str]
    """The query, those of the signature included."""

    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body's object. Raises ApiError."""
        try:
            value = _decoder.decode(self.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            raise ApiError(400, "The body is not JSON") from None
        if not isinstance(value, dict):
            raise ApiError(400, "The body must be a JSON object")
        return value


def body_limit(application: Application) -> int:
    """Return how many bytes a body may have: a full batch, every byte of it escaped in JSON."""
    return application.max_event_batch_size * (application.max_event_payload_kb * 6_144 + 4_096)


def check_length(scope: Scope, limit: int) -> None:
    """Raise ApiError if the headers announce more than ``limit`` bytes."""
    for name, value in scope.get("headers", ()):
        if name == b"content-length" and value[:18].isdigit() and int(value[:18]) > limit:
            raise _too_large(limit)


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the whole body, however slowly it comes. Raises ApiError beyond ``limit`` bytes."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "The request ended early")
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body) + chunk if body else chunk
        body += chunk


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit} bytes")
