"""Who is this visitor, for a connection that signs in? The one place that says so and signs.

The project's own function decides, see user_resolver(); without one it is the broadcast id of
whoever is logged in, mostly the primary key. Who that is, is found by the same guards as for
channels.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

from broadcasting.authorization.answers import find_signer, sign_user
from broadcasting.authorization.decisions import check_answer
from broadcasting.authorization.guards import Identity, settle
from broadcasting.authorization.outcomes import Identification, Refused
from broadcasting.broadcasters import broadcasters
from broadcasting.channels import broadcast_id
from broadcasting.conf import get_settings
from broadcasting.protocol.names import is_socket_id, is_user_id
from broadcasting.protocol.protocol import MAX_WATCHLIST
from broadcasting.shown import public_values
from broadcasting.wording import name_of

logger = logging.getLogger("broadcasting.authorization")

MAX_READ = 10 * MAX_WATCHLIST
"""Entries of a watchlist that are looked at, with those that cannot be watched or come twice."""

Resolver = Callable[..., Any]

_Handler = TypeVar("_Handler", bound=Resolver)


class UserResolver:
    """The project's function, if it has one. The last one registered counts."""

    def __init__(self) -> None:
        self.function: Resolver | None = None
        self.replaced: list[Resolver] = []
        """Those that a later one took the place of, for the checks."""

    @property
    def name(self) -> str:
        """The dotted path of the function, for people."""
        return name_of(self.function)

    @property
    def problem(self) -> str | None:
        """Why the function cannot be called; such a one never is."""
        if self.function is None:
            return None
        try:
            signature = inspect.signature(self.function)
            signature.bind(None, **self._named(None))
        except (TypeError, ValueError) as error:
            return str(error)
        return None

    def set(self, function: Resolver) -> None:
        """Ask ``function`` from now on."""
        if self.function is not None:
            self.replaced.append(self.function)
        self.function = function

    def call(self, user: Any, request: HttpRequest) -> Any:
        """Return what the project says of ``user``, awaited if it must be."""
        if self.function is None:
            return {}
        if self.problem is not None:
            raise ImproperlyConfigured(f"{self.name}: {self.problem}")
        return settle(self.function(user, **self._named(request)))

    @contextmanager
    def isolated(self) -> Iterator[UserResolver]:
        """Begin without a function and forget what is registered meanwhile; for tests."""
        kept = self.function, self.replaced
        self.function, self.replaced = None, []
        try:
            yield self
        finally:
            self.function, self.replaced = kept

    def _named(self, request: HttpRequest | None) -> dict[str, Any]:
        asks = (
            self.function is not None and "request" in inspect.signature(self.function).parameters
        )
        return {"request": request} if asks else {}


resolver = UserResolver()


def user_resolver(function: _Handler) -> _Handler:
    """Register the decorated function as the one that says who a user is who signs in.

    ``function``: ``(user)`` or ``(user, request)``, sync or async. It returns a dict (or a
    dataclass, pydantic model, msgspec Struct) with ``id``, which becomes text and is the
    user's ``get_broadcast_id()`` or primary key if left out; ``user_info``, what the others of a
    presence channel see; ``watchlist``, the ids of users whose coming and going this one is
    told. What is falsy refuses, and so do PermissionDenied and Http404. Raises TypeError for
    what is no function.
    """
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"A user resolver is a function, not {function!r}")
    resolver.set(function)
    return function


def identify(
    request: HttpRequest, socket_id: str, *, identity: Identity | None = None
) -> Identification:
    """Say who the visitor of ``request`` signs in as, and sign the answer.

    Never raises: what the resolver raises is logged and becomes status 500. Logs one line for
    every refusal. Runs async resolvers too, so it may not be called where a loop is running;
    see aidentify().
    """
    try:
        found = _identify(request, socket_id, identity or Identity(request))
    except Refused as refusal:
        found = Identification(status=refusal.status, reason=str(refusal))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        found = Identification(status=500, reason=reason, error=error)
    if found.error is not None:
        logger.error("Failed on a sign-in: %s", found.reason, exc_info=found.error)
    elif found.denied:
        logger.warning("Refused a sign-in: %s", found.reason)
    return found


async def aidentify(
    request: HttpRequest, socket_id: str, *, identity: Identity | None = None
) -> Identification:
    """See identify()."""
    return await sync_to_async(identify, thread_sensitive=True)(
        request, socket_id, identity=identity
    )


def _identify(request: HttpRequest, socket_id: str, identity: Identity) -> Identification:
    if not is_socket_id(socket_id):
        raise Refused("the socket id is malformed", status=400)
    check_signs_in(get_settings().default_broadcaster)
    user = identity.user(identity.guards)
    if user is None:
        raise Refused("the visitor is a guest")
    user_data = _user_data(_resolve(user, request), user)
    answer = sign_user(find_signer(), socket_id, user_data)
    return Identification(status=200, answer=answer, user_data=user_data)


def check_signs_in(alias: str) -> None:
    """Raise Refused if nobody signs in to the server behind this broadcaster."""
    if alias not in get_settings().broadcasters:
        return
    dialect = broadcasters[alias].dialect
    if dialect != "pusher":
        raise Refused(
            f"nobody signs in where the default broadcaster {alias!r} sends: its clients speak"
            f" {dialect!r}, and only those of Pusher's protocol know what that is"
        )


def _resolve(user: Any, request: HttpRequest) -> Mapping[Any, Any]:
    try:
        result = resolver.call(user, request)
    except (Refused, PermissionDenied, Http404) as error:
        raise Refused(f"{resolver.name}: {str(error) or type(error).__name__}") from error
    if resolver.function is None:
        return {}
    check_answer(result, resolver.name)
    if not result:
        raise Refused(f"{resolver.name} returned {result!r} for user {getattr(user, 'pk', None)}")
    values = public_values(result)
    if values is None:
        raise TypeError(
            f"{resolver.name} returned a {type(result).__name__}; it returns a dict with 'id',"
            " or None to refuse"
        )
    return values


def _user_data(values: Mapping[Any, Any], user: Any) -> dict[str, Any]:
    user_id = values.get("id")
    if isinstance(user_id, bool) or not isinstance(user_id, str | int | UUID | None):
        raise TypeError(f"{resolver.name}: 'id' is text or a number, not {type(user_id).__name__}")
    if user_id is None:
        _check_key(user)
        user_id = broadcast_id(user)
    if user_id is None:
        raise Refused("a user without a primary key needs an 'id' in what the resolver returns")
    data = {"id": str(user_id), **{k: v for k, v in values.items() if k not in ("id", "watchlist")}}
    if values.get("watchlist") is not None:
        data["watchlist"] = _watchlist(values["watchlist"], data["id"])
    return data


def _check_key(user: Any) -> None:
    """Raise Refused for a row of another table: its key is there that of somebody else."""
    if not isinstance(user, Model) or hasattr(user, "get_broadcast_id"):
        return
    try:
        users = get_user_model()
    except ImproperlyConfigured:
        return
    # A parent's row has the key of its child.
    if not (isinstance(user, users) or issubclass(users, user.__class__)):
        raise Refused(
            f"a row of {user._meta.label} has the key of some user; it needs a"
            " get_broadcast_id(), or an 'id' in what the user resolver returns"
        )


def _watchlist(watched: Any, user_id: str) -> Sequence[str]:
    """Return the ids of ``watched``: users or ids, as many as a connection may watch."""
    if isinstance(watched, str | bytes | Mapping):
        raise TypeError(f"{resolver.name}: 'watchlist' is a list of user ids")
    # No more than it takes: it may be a table, or never end.
    few = watched[:MAX_READ] if isinstance(watched, QuerySet) else islice(watched, MAX_READ)
    ids = [*dict.fromkeys(map(_watched_id, few))]
    good = [one for one in ids if is_user_id(one)]
    if len(good) < len(ids):
        logger.warning(
            "The watchlist of user %s has ids that no user can have: %s left out",
            user_id,
            len(ids) - len(good),
        )
    if len(good) > MAX_WATCHLIST:
        logger.warning(
            "The watchlist of user %s has more than %s users; the first are watched",
            user_id,
            MAX_WATCHLIST,
        )
    return good[:MAX_WATCHLIST]


def _watched_id(one: object) -> str:
    """Return the id as text; empty, which is nobody's, for what a mistake put there."""
    if hasattr(one, "pk") or hasattr(one, "get_broadcast_id"):
        return broadcast_id(one) or ""
    return "" if one is None or isinstance(one, bool) else str(one)
