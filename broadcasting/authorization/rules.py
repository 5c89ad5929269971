"""The rules: which function decides about which channels.

A registry, and what fills it: the decorator, and the lists of ``lists``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import models

from broadcasting.authorization.guards import Guard
from broadcasting.authorization.permissions import PermissionRule, permission_names
from broadcasting.authorization.rule import GUARDED, ChannelRoute, Route
from broadcasting.protocol.names import ChannelKind

__all__ = ["ChannelRoute", "Route", "Routes", "channel", "make_route", "model_pattern", "routes"]

_Handler = TypeVar("_Handler", bound=Callable[..., Any])

_KINDS = {
    "private": ChannelKind.PRIVATE,
    "presence": ChannelKind.PRESENCE,
    "encrypted": ChannelKind.ENCRYPTED,
}


class Routes:
    """Every rule, in order of first registration, which is the order of asking."""

    def __init__(self) -> None:
        self._routes: list[Route] = []
        self.duplicates: list[tuple[Route, Route]] = []
        """Pairs (earlier, later) of one pattern for a common kind, for the checks."""

    def __iter__(self) -> Iterator[Route]:
        return iter(tuple(self._routes))

    def __len__(self) -> int:
        return len(self._routes)

    def add(self, route: Route) -> None:
        """Register ``route``; the same pattern for the same kinds takes the old one's place."""
        place = None
        for index, known in enumerate(self._routes):
            if known.text != route.text or not known.kinds & route.kinds:
                continue
            self.duplicates.append((known, route))
            if known.kinds == route.kinds:
                place = index
        if place is None:
            self._routes.append(route)
        else:
            self._routes[place] = route

    @contextmanager
    def isolated(self) -> Iterator[Routes]:
        """Begin with no rules and forget what is registered meanwhile; for tests."""
        kept = self._routes, self.duplicates
        self._routes, self.duplicates = [], []
        try:
            yield self
        finally:
            self._routes, self.duplicates = kept


routes = Routes()


def channel(
    pattern: str | type[models.Model],
    *,
    name: str | None = None,
    guards: Guard | Iterable[Guard] | None = None,
    kinds: str | Iterable[str] | None = None,
    allow_anonymous: bool = False,
    perm: str | Iterable[str] | None = None,
) -> Callable[[_Handler], _Handler]:
    """Register the decorated function or ChannelRoute class as the rule of ``pattern``.

    ``pattern``: a channel name without its prefix, as ``orders.{order}``, or a model class.
    ``name``: what reverse() knows it by. ``guards``: who finds the user, in order, instead of
    ``AUTHORIZATION.GUARDS``. ``kinds``: the kinds of channel it decides about, of ``private``,
    ``presence`` and ``encrypted``; all of them if left out. ``allow_anonymous``: guests are
    asked about too. ``perm``: a permission of Django's, or several, without which the user is
    refused before the rule is asked.

    The rule returns False to refuse, another falsy value to let the next matching rule
    decide, anything truthy to allow; for a presence channel a dict of what the others see. What
    is no answer at all (a coroutine, a function, a tuple) is an error, and allows nobody.
    Raises TypeError for what is neither a function nor a ChannelRoute, ValueError for an
    unknown kind.
    """

    def register(handler: _Handler) -> _Handler:
        routes.add(
            make_route(
                pattern,
                handler,
                name=name,
                guards=guards,
                kinds=kinds,
                allow_anonymous=allow_anonymous,
                perm=perm,
            )
        )
        return handler

    return register


def make_route(
    pattern: str | type[models.Model],
    handler: Callable[..., Any] | None,
    *,
    name: str | None,
    guards: Guard | Iterable[Guard] | None,
    kinds: str | Iterable[str] | None,
    allow_anonymous: bool,
    perm: str | Iterable[str] | None,
) -> Route:
    """Return a rule that is not registered yet; what is asked of it, see channel()."""
    model = None if isinstance(pattern, str) else pattern
    text = pattern if isinstance(pattern, str) else model_pattern(pattern)
    permissions = permission_names(perm)
    if handler is None and permissions:
        handler = PermissionRule(permissions, {} if model is None else {_snake(model): model})
    elif inspect.isclass(handler):
        if not issubclass(handler, ChannelRoute):
            raise TypeError(f"{handler.__name__} must be a subclass of ChannelRoute")
    elif not callable(handler):
        raise TypeError(f"A channel rule is a function or a ChannelRoute, not {handler!r}")
    return Route(
        text,
        handler,
        guards=_guards(guards),
        kinds=_kind_set(kinds),
        allow_anonymous=allow_anonymous,
        permissions=permissions,
        reverse_name=name,
    )


def model_pattern(model: type[models.Model]) -> str:
    """Return the pattern of a model's own channels, as ``shop.OrderItem.{order_item}``."""
    # A proxy has the channels of its rows, see own_name().
    rows = model._meta.concrete_model or model
    return f"{rows._meta.label}.{{{_snake(model)}}}"


def _snake(model: type[models.Model]) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()


def _guards(guards: Guard | Iterable[Guard] | None) -> Sequence[Guard] | None:
    if guards is None:
        return None
    return (guards,) if isinstance(guards, str) or not isinstance(guards, Iterable) else (*guards,)


def _kind_set(kinds: str | Iterable[str] | None) -> frozenset[ChannelKind]:
    if kinds is None:
        return GUARDED
    names = {kinds} if isinstance(kinds, str) else {*kinds}
    if unknown := names - _KINDS.keys():
        raise ValueError(f"Unknown channel kinds {sorted(unknown)}; known: {', '.join(_KINDS)}")
    return frozenset(_KINDS[name] for name in names)
