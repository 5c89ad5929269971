"""Ask the channel rules and the user resolver in a test, without a request or a browser."""

from __future__ import annotations

from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from broadcasting.authorization import Decision, Identification, Outcome, authorize, identify
from broadcasting.authorization.guards import KnownIdentity
from broadcasting.dispatching.bridge import loop_is_running

_Outcome = TypeVar("_Outcome", bound=Outcome)


def channel_auth(
    user: Any, channel: str, *, request: HttpRequest | None = None, socket_id: str = "1.1"
) -> Decision:
    """Return whether ``user`` (None for a guest) may join ``channel``, a name with its prefix.

    The result has ``allowed``, ``denied``, ``reason``, ``user_info`` and the signed
    ``answer``. ``user`` stands in for whatever guards would find. ``request``: what rules
    see as their request, if they read more of it than the user. Async rules are run too.
    Raises what a rule raises, and RuntimeError where a loop is running: there it is
    ``await achannel_auth(...)``.
    """
    _check_colour("achannel_auth")
    return _ask_rules(user, channel, request, socket_id)


async def achannel_auth(
    user: Any, channel: str, *, request: HttpRequest | None = None, socket_id: str = "1.1"
) -> Decision:
    """See channel_auth()."""
    return await sync_to_async(_ask_rules, thread_sensitive=True)(user, channel, request, socket_id)


def user_auth(
    user: Any, *, request: HttpRequest | None = None, socket_id: str = "1.1"
) -> Identification:
    """Return whether ``user`` (None for a guest) may sign in, and as whom.

    The result has ``allowed``, ``denied``, ``reason``, the signed ``answer`` and ``user_data``,
    what the project's resolver says. The rest as channel_auth().
    """
    _check_colour("auser_auth")
    return _ask_resolver(user, request, socket_id)


async def auser_auth(
    user: Any, *, request: HttpRequest | None = None, socket_id: str = "1.1"
) -> Identification:
    """See user_auth()."""
    return await sync_to_async(_ask_resolver, thread_sensitive=True)(user, request, socket_id)


def _check_colour(twin: str) -> None:
    if loop_is_running():
        raise RuntimeError(f"Use 'await {twin}(...)' in async code.")


def _ask_rules(user: Any, channel: str, request: HttpRequest | None, socket_id: str) -> Decision:
    request = _request(user, request)
    return _told(authorize(request, channel, socket_id, identity=KnownIdentity(request)))


def _ask_resolver(user: Any, request: HttpRequest | None, socket_id: str) -> Identification:
    request = _request(user, request)
    return _told(identify(request, socket_id, identity=KnownIdentity(request)))


def _request(user: Any, request: HttpRequest | None) -> HttpRequest:
    if request is None:
        request = HttpRequest()
        request.method = "POST"
    request.user = user
    return request


def _told(outcome: _Outcome) -> _Outcome:
    if outcome.error is not None:
        raise outcome.error
    return outcome
