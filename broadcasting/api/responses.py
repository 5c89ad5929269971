"""JSON answers over plain ASGI, always with their Content-Length."""

from __future__ import annotations

import json

from broadcasting.typing import Send


class ApiError(Exception):
    """A request that cannot be served; ``message`` is safe to show to the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def respond(
    send: Send, status: int, body: object, *extra_headers: tuple[bytes, bytes]
) -> None:
    """Send ``body`` as JSON."""
    content = json.dumps(body, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *extra_headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
