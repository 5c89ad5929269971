"""May this visitor join this channel? The one place that decides.

Validates first: socket id and channel name become part of the signed text, so that a
colon or a quote in one of them would turn the signature into another one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from difflib import get_close_matches
from inspect import isawaitable, iscoroutine
from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.manager import BaseManager
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from broadcasting.authorization.answers import Asked, member_info, session_of
from broadcasting.authorization.defaults import default_routes
from broadcasting.authorization.dialects import Admission, Dialect, find_dialect
from broadcasting.authorization.guards import Identity, settle
from broadcasting.authorization.outcomes import Decision, Refused
from broadcasting.authorization.rule import Route
from broadcasting.authorization.rules import routes
from broadcasting.exceptions import PayloadError
from broadcasting.protocol.names import (
    ChannelKind,
    base_name,
    is_channel_name,
    kind_of,
)
from broadcasting.shown import public_values

logger = logging.getLogger("broadcasting.authorization")


def authorize(
    request: HttpRequest,
    channel: str,
    socket_id: str,
    *,
    identity: Identity | None = None,
    dialect: Dialect | None = None,
) -> Decision:
    """Decide whether the visitor of ``request`` may join ``channel``, and make the answer.

    ``channel``: the whole name, with its prefix. ``identity``: who the visitor is, if that
    was found out already, so that many channels ask each guard once. ``dialect``: what the
    client understands; None: what clients of the default broadcaster do. Never raises: what a
    rule raises is logged and becomes status 500. Logs one line for every refusal. Runs
    async rules too, so it may not be called where a loop is running; see aauthorize().
    """
    try:
        decision = _decide(
            request, channel, socket_id, identity or Identity(request), dialect or find_dialect()
        )
    except Refused as refusal:
        decision = Decision(channel=channel, status=refusal.status, reason=str(refusal))
    except Exception as error:
        # A broken rule must not break the other channels of the same request.
        reason = f"{type(error).__name__}: {error}"
        decision = Decision(channel=channel, status=500, reason=reason, error=error)
    if decision.error is not None:
        logger.error("Failed on %.200r: %s", channel, decision.reason, exc_info=decision.error)
    elif decision.denied:
        logger.warning("Refused %.200r: %s", channel, decision.reason)
    return decision


async def aauthorize(
    request: HttpRequest,
    channel: str,
    socket_id: str,
    *,
    identity: Identity | None = None,
    dialect: Dialect | None = None,
) -> Decision:
    """See authorize()."""
    return await sync_to_async(authorize, thread_sensitive=True)(
        request, channel, socket_id, identity=identity, dialect=dialect
    )


def _decide(
    request: HttpRequest, name: str, socket_id: str, identity: Identity, dialect: Dialect
) -> Decision:
    dialect.check_socket(socket_id)
    greeting = dialect.greet(name, identity)
    if greeting is not None:
        return Decision(channel=name, status=200, answer=greeting)
    channel = dialect.wire_name(name)
    if not is_channel_name(channel, dialect.max_name_length):
        raise Refused("the channel name is malformed", status=400)
    kind = kind_of(channel)
    if kind is ChannelKind.PUBLIC:
        raise Refused("it is a public channel, which needs no authorization")
    dialect.check(channel)
    route, user, result = _ask(request, channel, socket_id, identity)
    presence = kind is ChannelKind.PRESENCE
    info = member_info(result, user, route.name) if presence else {}
    asked = Asked(at=identity.at, session=_session(request, user))
    admission = Admission(
        channel=channel, socket_id=socket_id, user=user, result=result, asked=asked, info=info
    )
    try:
        answer = dialect.answer(admission)
    except PayloadError as error:
        reason = f"{route.name} returned user info that cannot be sent: {error}"
        return Decision(channel=name, status=500, reason=reason, error=error)
    return Decision(channel=name, status=200, answer=answer, user_info=info if presence else None)


def _ask(
    request: HttpRequest, channel: str, socket_id: str, identity: Identity
) -> tuple[Route, Any, Any]:
    """Return the rule that allows ``channel``, the user and what the rule returned."""
    name, kind = base_name(channel), kind_of(channel)
    silent: list[Route] = []
    matching = [route for route in routes if route.match(name) is not None]
    for route in matching or default_routes():
        values = route.match(name)
        if values is None or kind not in route.kinds:
            continue
        try:
            user = _user(route, identity)
            result = settle(
                route.call(values, user, request=request, channel=channel, socket_id=socket_id)
            )
        except (Refused, PermissionDenied, Http404) as error:
            detail = str(error) or type(error).__name__
            raise Refused(f"{route.name}: {detail}") from error
        check_answer(result, route.name)
        if result is False:
            raise Refused(f"{route.name} returned False for {_label(user)}")
        if result:
            return route, user, result
        silent.append(route)
    if silent:
        names = ", ".join(route.name for route in silent)
        raise Refused(f"no matching rule allowed {_label(user)} (asked: {names})")
    _refuse_unknown(name, kind)


_NO_ANSWERS = (
    Iterator,  # a generator, map() or filter(), whatever they would yield
    AsyncIterator,
    Future,
    Combinable,  # what a database would have to be asked
    BaseExpression,
    Q,
    BaseManager,
    HttpResponseBase,  # which in a view would have been a refusal
    BaseException,
    tuple,  # (False, "why")
    type(NotImplemented),
)


def check_answer(result: Any, name: str) -> None:
    """Raise TypeError for what is true only because nobody asked it, or means something else.

    ``name``: of the function that returned it.
    """
    uncalled = callable(result) and public_values(result) is None
    if not (uncalled or isawaitable(result) or isinstance(result, _NO_ANSWERS)):
        return
    if iscoroutine(result):
        result.close()
    raise TypeError(
        f"{name} returned a {type(result).__name__}, which is no answer:"
        " was a call or an 'await' forgotten?"
    )


def _user(route: Route, identity: Identity) -> Any:
    guards = identity.guards if route.guards is None else route.guards
    user = identity.user(guards)
    if user is not None:
        return user
    if not route.allow_anonymous:
        raise Refused("the visitor is a guest, whom this rule does not allow")
    return identity.guest(guards)


def _refuse_unknown(name: str, kind: ChannelKind) -> NoReturn:
    others = [route for route in routes if route.match(name) is not None]
    if others:
        word = kind.value.rstrip("-")
        names = ", ".join(route.name for route in others)
        raise Refused(f"{names} matches {name!r}, but not for {word} channels")
    patterns = [route.text for route in routes]
    if not patterns:
        raise Refused(
            f"no rule matches {name!r}; no rule is registered at all. Rules live in channels.py"
            " of an installed app, or beside the root URLconf"
            f" ({getattr(django_settings, 'ROOT_URLCONF', None)})"
        )
    beginning = kind_of(name).value
    if beginning:
        raise Refused(
            f"no rule matches {name!r}; leave out {beginning!r}: Echo and the channel classes write"
            " themselves what a name begins with"
        )
    near = get_close_matches(name, patterns, 3, 0.4) or patterns[:3]
    raise Refused(f"no rule matches {name!r}; the nearest are {', '.join(near)}")


def _session(request: HttpRequest, user: Any) -> str | None:
    """Return the hash of the session that ``user`` was found in, if it was one."""
    if getattr(request, "user", None) is not user:
        return None
    return session_of(request) or None


def _label(user: Any) -> str:
    pk = getattr(user, "pk", None)
    return "a guest" if pk is None else f"user {pk}"
