"""Who is asking: the ways from a request to a user, tried in order.

A guard is ``"session"`` (``request.user``), a callable that takes the request and returns
a user or None, or a class with ``authenticate(request)`` that returns ``(user, token)`` or
None, as Django REST framework's authentication classes do. Knows nothing of channels.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import isawaitable, isclass, ismethod, isroutine
from types import NoneType
from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.db.models.manager import BaseManager
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from broadcasting.conf import get_settings
from broadcasting.wording import name_of

logger = logging.getLogger("broadcasting.authorization")

Guard = str | Callable[[HttpRequest], Any]

SESSION = "session"


class Identity:
    """The users of one request, each guard asked once however many channels are wanted.

    ``guards``: what finds the user where a rule does not say; None: as the settings say.
    """

    def __init__(self, request: HttpRequest, guards: Sequence[Guard] | None = None) -> None:
        self.at = time.time_ns() // 1_000_000
        """Milliseconds since 1970 at which nothing was known of the users yet."""

        self._request = request
        self.guards = get_settings().authorization.guards if guards is None else guards
        self._users: dict[str | int, Any] = {}

    def user(self, guards: Sequence[Guard]) -> Any:
        """Return the first authenticated user that ``guards`` find, or None."""
        for guard in guards:
            # A callable of somebody else's need not be hashable.
            key = guard if isinstance(guard, str) else id(guard)
            if key not in self._users:
                self._users[key] = _ask(guard, self._request)
            if self._users[key] is not None:
                return self._users[key]
        return None

    def guest(self, guards: Sequence[Guard]) -> Any:
        """Return what Django calls the user of a guest, or None where there is no such thing.

        Whom the session knows is no guest's user unless the session is one of ``guards``.
        """
        user = getattr(self._request, "user", None)
        if SESSION in guards or not is_authenticated(user):
            return user
        if not apps.is_installed("django.contrib.auth"):
            return None
        # Its models must not be imported before the apps are ready.
        from django.contrib.auth.models import AnonymousUser

        return AnonymousUser()


class KnownIdentity(Identity):
    """An identity that is given instead of found, for tests."""

    def user(self, guards: Sequence[Guard]) -> Any:
        user = getattr(self._request, "user", None)
        return user if is_authenticated(user) else None

    def guest(self, guards: Sequence[Guard]) -> Any:
        return getattr(self._request, "user", None)


def is_authenticated(user: Any, *, unless_told: bool = True) -> bool:
    """Whether ``user`` is somebody. AnonymousUser is truthy, so truth is not enough.

    ``unless_told``: what counts for an object without ``is_authenticated``. A guard may return
    something of its own, a device for instance; but True or False is nobody, and so is None
    behind a lazy object, which shows its class.
    """
    if isinstance(user, bool | int | float | str | bytes | NoneType):
        return False
    told = getattr(user, "is_authenticated", unless_told)
    # A method in older classes, which as such is always true.
    return bool(told() if ismethod(told) else told)


def find_guard(guard: Guard) -> Any:
    """Return the callable or class behind ``guard``. Raises ImproperlyConfigured."""
    found: Any = guard
    if isinstance(guard, str):
        try:
            found = import_string(guard)
        except ImportError as error:
            raise ImproperlyConfigured(
                f"The guard {guard!r} is neither 'session' nor importable: {error}"
            ) from error
    if not callable(found) and not hasattr(found, "authenticate"):
        raise ImproperlyConfigured(
            f"The guard {guard!r} is a {type(found).__name__}, which cannot be called"
        )
    return found


def settle(result: Any) -> Any:
    """Return ``result``, awaited if it must be. Never for a thread with a running loop."""
    return async_to_sync(_finish)(result) if isawaitable(result) else result


async def _finish(awaitable: Any) -> Any:
    return await awaitable


def _ask(guard: Guard, request: HttpRequest) -> Any:
    if guard == SESSION:
        user = getattr(request, "user", None)
        return user if is_authenticated(user, unless_told=False) else None
    found = find_guard(guard)
    user = _call(found, request)
    _check_user(user, name_of(found))
    return user if is_authenticated(user) else None


_NO_USERS = (
    QuerySet,  # which may be empty: without first() nobody looked
    BaseManager,
    HttpResponseBase,  # which in a view would have been a refusal
    BaseException,
    Iterator,
)

# These alone: a device may be a named tuple.
_CONTAINERS = (tuple, list, set, frozenset)


def _check_user(user: Any, name: str) -> None:
    """Raise TypeError for what would be taken for somebody only because it is something.

    ``name``: of the guard that returned it.
    """
    is_code = isclass(user) or isroutine(user)
    is_empty = isinstance(user, Mapping) and not user
    is_none = isinstance(user, _NO_USERS) or user.__class__ in _CONTAINERS or is_empty
    if not is_code and (hasattr(user, "is_authenticated") or not is_none):
        return
    raise TypeError(
        f"the guard {name} returned a {type(user).__name__}, which is no user:"
        " it returns one, or None"
    )


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
