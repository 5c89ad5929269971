"""JSON answers over plain ASGI, always with their Content-Length."""

from __future__ import annotations

from broadcasting.protocol import messages
from broadcasting.typing import Send

Headers = tuple[tuple[bytes, bytes], ...]

CONTENT_TYPE = (b"content-type", b"application/json")
NOTHING = (CONTENT_TYPE, (b"content-length", b"2"))


class ApiError(Exception):
    """A request that cannot be served; ``message`` is safe to show to the caller."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def retry_after(seconds: int) -> tuple[bytes, bytes]:
    """Return the header that tells a caller when to come again."""
    return b"retry-after", str(seconds).encode()


async def respond(
    send: Send, status: int, body: object, *extra_headers: tuple[bytes, bytes]
) -> None:
    """Send ``body`` as JSON."""
    content = messages.encode(body).encode()
    length = (b"content-length", str(len(content)).encode())
    await _send(send, status, (CONTENT_TYPE, length, *extra_headers), content)


async def respond_nothing(send: Send) -> None:
    """Send 200 and ``{}``, which is what nearly every publisher gets."""
    await _send(send, 200, NOTHING, b"{}")


async def respond_error(send: Send, problem: ApiError) -> None:
    """Send what the caller did wrong."""
    body = {"error": problem.message, "code": problem.status}
    await respond(send, problem.status, body, *problem.headers)


async def _send(send: Send, status: int, headers: Headers, content: bytes) -> None:
    # A list of each answer's own: middleware in front may add to it.
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": content})
