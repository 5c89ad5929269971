"""Pusher's HTTP API, so that any Pusher server library can publish here.

Plain ASGI in front of Django: no middleware, no thread, no database between a request
and the backplane.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from broadcasting.api import events
from broadcasting.api.authentication import authenticate
from broadcasting.api.responses import ApiError, respond
from broadcasting.applications import Application, get_applications
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.exceptions import PublishError
from broadcasting.typing import Receive, Scope, Send

__all__ = ["Api"]

logger = logging.getLogger("broadcasting.api")

Endpoint = Callable[[Application, dict[str, Any]], list[Envelope]]

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "events"): events.event,
    ("POST", "batch_events"): events.batch,
}


class Api:
    """The ASGI application of ``{prefix}/apps/{id}/...``."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._route = re.compile(rf"{re.escape(prefix)}/apps/([^/]+)/([a-z_]+)/?")

    def takes(self, scope: Scope) -> bool:
        """Whether a request is for this API; everything else goes on to Django."""
        _, resource = self._parse(scope)
        return any(resource == name for _, name in ENDPOINTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that ``takes()`` accepted."""
        try:
            await self._serve(scope, receive)
        except ApiError as problem:
            logger.info("%s %.200r: %s", scope["method"], scope["path"], problem.message)
            body = {"error": problem.message, "code": problem.status}
            # HTTP demands the header of every 405.
            allow = [(b"allow", b"POST")] if problem.status == 405 else []
            await respond(send, problem.status, body, *allow)
        except PublishError as problem:
            logger.error("An event of the HTTP API could not be published: %s", problem)
            await respond(send, 503, {"error": "The backplane is unavailable", "code": 503})
        else:
            await respond(send, 200, {})

    async def _serve(self, scope: Scope, receive: Receive) -> None:
        app_id, resource = self._parse(scope)
        endpoint = ENDPOINTS.get((scope["method"], resource))
        if endpoint is None:
            raise ApiError(405, "This resource takes POST")
        application = get_applications().by_id(app_id)
        if application is None:
            raise ApiError(404, "Unknown application")
        body = await _read(receive, _body_limit(application))
        authenticate(application, scope, body, time.time(), self._prefix)
        if not application.enabled:
            raise ApiError(403, "The application is disabled")
        backplane = get_backplane()
        for envelope in endpoint(application, _decode(body)):
            await backplane.apublish(envelope)

    def _parse(self, scope: Scope) -> tuple[str, str]:
        """Return the application id and the resource of a path, both empty if it is not ours."""
        match = self._route.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
        return (match[1], match[2]) if match else ("", "")


def _body_limit(application: Application) -> int:
    # A full batch whose every byte is escaped in JSON, and room for names.
    return application.max_event_batch_size * (application.max_event_payload_kb * 6_144 + 4_096)


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "The request ended early")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise ApiError(413, f"The body is larger than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is not JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The body must be a JSON object")
    return value
