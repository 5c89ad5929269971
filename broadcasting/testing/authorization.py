"""Ask the channel rules in a test, without a request, a signature to check or a browser."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from broadcasting.authorization import Decision, authorize
from broadcasting.authorization.guards import KnownIdentity
from broadcasting.dispatching.bridge import loop_is_running


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
    if loop_is_running():
        raise RuntimeError("Use 'await achannel_auth(...)' in async code.")
    return _ask(user, channel, request, socket_id)


async def achannel_auth(
    user: Any, channel: str, *, request: HttpRequest | None = None, socket_id: str = "1.1"
) -> Decision:
    """See channel_auth()."""
    return await sync_to_async(_ask, thread_sensitive=True)(user, channel, request, socket_id)


def _ask(user: Any, channel: str, request: HttpRequest | None, socket_id: str) -> Decision:
    if request is None:
        request = HttpRequest()
        request.method = "POST"
    request.user = user
    decision = authorize(request, channel, socket_id, identity=KnownIdentity(request))
    if decision.error is not None:
        raise decision.error
    return decision
