"""Pusher's HTTP API, so that any Pusher server library can publish and ask here.

Plain ASGI in front of Django: no middleware, no thread, no database between a request
and the backplane.
"""

from __future__ import annotations

import logging
import time
from functools import partial

from broadcasting.api.authentication import authenticate, check_body, parse_query
from broadcasting.api.counters import counters
from broadcasting.api.events import PUBLISHING
from broadcasting.api.replays import serve_once
from broadcasting.api.requests import Request, body_limit, check_length, read_body
from broadcasting.api.responses import (
    ApiError,
    respond,
    respond_error,
    respond_nothing,
    retry_after,
)
from broadcasting.api.routes import Routes, Target, is_signed
from broadcasting.applications import Application, get_applications
from broadcasting.backplanes import get_backplane
from broadcasting.exceptions import PublishError
from broadcasting.registry import get_registry
from broadcasting.server.node import get_node
from broadcasting.typing import AsgiApplication, Receive, Scope, Send

__all__ = ["Api"]

logger = logging.getLogger("broadcasting.api")


class Api:
    """The ASGI side of ``{prefix}/apps/{id}/...``."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.find = Routes(prefix).find
        """Return what a request is for, or None if it is not for this API."""

    def quick(self, scope: Scope) -> AsgiApplication | None:
        """Return what answers a request in one step, if nothing it does could wait."""
        if get_backplane().waits or get_registry().waits or not is_signed(scope):
            return None
        target = self.find(scope)
        if target is None or scope["method"] not in target.methods:
            return None
        return partial(self.answer, target)

    async def answer(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for which ``find()`` has a target."""
        counters.requests += 1
        try:
            body = await self._serve(target, scope, receive)
        except ApiError as problem:
            counters.refused += problem.status < 500
            counters.unauthorized += problem.status == 401
            counters.too_large += problem.status == 413
            counters.failed += problem.status >= 500
            logger.info("%s %.200r: %s", scope["method"], scope["path"], problem.message)
            await respond_error(send, problem)
        except PublishError as problem:
            counters.failed += 1
            logger.error("A request of the HTTP API could not be published: %s", problem)
            error = ApiError(503, "The backplane is unavailable", retry_after(1))
            await respond_error(send, error)
        except Exception:
            counters.failed += 1
            logger.exception("%s %.200r failed", scope["method"], scope["path"])
            await respond_error(send, ApiError(500, "The server made a mistake"))
        else:
            await (respond(send, 200, body) if body else respond_nothing(send))

    async def _serve(self, target: Target, scope: Scope, receive: Receive) -> dict[str, object]:
        endpoint = target.methods.get(scope["method"])
        if endpoint is None:
            # HTTP demands the header of every 405.
            allowed = ", ".join(target.methods)
            allow = (b"allow", allowed.encode())
            raise ApiError(405, f"This resource takes {allowed}", allow)
        # While sockets are sent away one after the other, those that are here still hear.
        if get_node().stopped:
            raise ApiError(503, "The server is stopping", retry_after(1))
        parameters = parse_query(scope["query_string"])
        application = _application(target, parameters)
        limit = body_limit(application)
        check_length(scope, limit)
        # Before the body is read: a caller without the secret must not make us keep any.
        authenticate(application, scope, parameters, time.time(), self._prefix)
        body = await read_body(receive, limit)
        check_body(parameters.get("body_md5"), body)
        if not application.enabled:
            raise ApiError(403, "The application is disabled")
        request = Request(
            application=application, name=target.name, parameters=parameters, body=body
        )
        if application.enable_replay_protection and scope["method"] == "POST":
            return await serve_once(endpoint, request, knows_keys=endpoint in PUBLISHING)
        return await endpoint(request)


def _application(target: Target, parameters: dict[str, str]) -> Application:
    if target.app_id is not None:
        application = get_applications().by_id(target.app_id)
        if application is None:
            raise ApiError(404, "Unknown application")
        return application
    application = get_applications().by_key(parameters.get("auth_key", ""))
    if application is None:
        raise ApiError(401, "The auth_key does not belong to any application")
    return application
