"""Who asked: the ``X-Socket-ID`` of the request being served, for ``to_others()``.

A context variable, so that requests served at the same time never see each other's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from broadcasting.socket_ids import is_known

_socket_id: ContextVar[str | None] = ContextVar("broadcasting_socket_id", default=None)


def current_socket_id() -> str | None:
    """Return the socket id of the tab that sent the current request, if it told."""
    return _socket_id.get()


def socket_id_of(request: HttpRequest) -> str | None:
    """Return the request's ``X-Socket-ID``; a malformed one counts as none."""
    text = request.META.get("HTTP_X_SOCKET_ID")
    return text if is_known(text) else None


class SocketIdMiddleware:
    """Remember ``X-Socket-ID`` while a request is served. For sync and async sites alike."""

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
    ) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        token = _socket_id.set(socket_id_of(request))
        try:
            return self.get_response(request)
        finally:
            _socket_id.reset(token)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        token = _socket_id.set(socket_id_of(request))
        try:
            response: HttpResponseBase = await self.get_response(request)  # type: ignore[misc]
            return response
        finally:
            _socket_id.reset(token)
