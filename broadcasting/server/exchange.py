"""A request and its answer in one step, for an ASGI application that waits for nothing.

No task, no events, no loop: the coroutine is stepped once by hand.
"""

from __future__ import annotations

import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from broadcasting.typing import AsgiApplication, Message, Scope

logger = logging.getLogger("broadcasting.server")


def exchange(answer: AsgiApplication, scope: Scope, body: bytes) -> Exchange:
    """Return the request with its answer, whatever became of it."""
    done = Exchange(body)
    coroutine: Any = answer(scope, done.receive, done.send)
    try:
        coroutine.send(None)
    except StopIteration:
        return done
    except Exception:
        logger.exception("A request could not be answered")
    else:
        coroutine.close()
        logger.error("What was to be answered in one step has waited for something")
    return Exchange.failed()


class Exchange:
    """A request that is complete, and its answer, for an application that waits for nothing."""

    __slots__ = ("_body", "_content", "_start")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._start: Message = {}
        self._content = b""

    @classmethod
    def failed(cls) -> Exchange:
        """Return the answer to a request that could not be answered."""
        done = cls(b"")
        done._start = {"status": 500, "headers": [(b"content-length", b"0")]}
        return done

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._content += message.get("body", b"")

    def encoded(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the bytes of the answer."""
        parts = [STATUS_LINE[self._start["status"]]]
        for name, value in (*default_headers, *self._start["headers"]):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", self._content)
        return b"".join(parts)
