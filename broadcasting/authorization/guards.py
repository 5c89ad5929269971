"""Who is asking: the ways from a request to a user, tried in order.

A guard is ``"session"`` (``request.user``), a callable that takes the request and returns
a user or None, or a class with ``authenticate(request)`` that returns ``(user, token)`` or
None, as Django REST framework's authentication classes do. Knows nothing of channels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import isawaitable, isclass
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

logger = logging.getLogger("broadcasting.authorization")

Guard = str | Callable[[HttpRequest], Any]

SESSION = "session"


class Identity:
    """The users of one request, each guard asked once however many channels are wanted."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._users: dict[Guard, Any] = {}

    def user(self, guards: Sequence[Guard]) -> Any:
        """Return the first authenticated user that ``guards`` find, or None."""
        for guard in guards:
            if guard not in self._users:
                self._users[guard] = _ask(guard, self._request)
            if self._users[guard] is not None:
                return self._users[guard]
        return None

    def visitor(self) -> Any:
        """Return what Django calls the user of a guest, or None where there is no such thing."""
        return getattr(self._request, "user", None)


class KnownIdentity(Identity):
    """An identity that is given instead of found, for tests."""

    def user(self, guards: Sequence[Guard]) -> Any:
        user = self.visitor()
        return user if is_authenticated(user) else None


def is_authenticated(user: Any) -> bool:
    """Whether ``user`` is somebody. AnonymousUser is truthy, so truth is no test."""
    # A guard may return something of its own, a device for instance.
    return user is not None and bool(getattr(user, "is_authenticated", True))


def find_guard(guard: Guard) -> Any:
    """Return the callable or class behind ``guard``. Raises ImproperlyConfigured."""
    if not isinstance(guard, str):
        return guard
    try:
        return import_string(guard)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"The guard {guard!r} is neither 'session' nor importable: {error}"
        ) from error


def settle(result: Any) -> Any:
    """Return ``result``, awaited if it must be. Never for a thread with a running loop."""
    return async_to_sync(_finish)(result) if isawaitable(result) else result


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _ask(guard: Guard, request: HttpRequest) -> Any:
    user = getattr(request, "user", None) if guard == SESSION else _call(find_guard(guard), request)
    return user if is_authenticated(user) else None


def _call(found: Any, request: HttpRequest) -> Any:
    asked: Any = found() if isclass(found) else found
    if not hasattr(asked, "authenticate"):
        return settle(asked(request))
    try:
        answer = settle(asked.authenticate(_wrapped(asked, request)))
    except Exception as error:
        # REST framework refuses bad credentials by raising; another guard may do better.
        if getattr(error, "status_code", None) not in (401, 403):
            raise
        logger.info("%s refused: %s", type(asked).__name__, error)
        return None
    return answer[0] if answer else None


def _wrapped(asked: Any, request: HttpRequest) -> Any:
    # Its own classes look into its own kind of request.
    if any(base.__module__.startswith("rest_framework.") for base in type(asked).__mro__):
        return import_module("rest_framework.request").Request(request)
    return request
