"""The rules: which function decides about which channels.

A registry and the decorator that fills it. Registering never fails because of a pattern
or a signature, since that would break the import of a module; the system checks report
``Route.problems`` and such a rule is not called.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.http import HttpRequest

from broadcasting.authorization.binding import Plan, make_plan
from broadcasting.authorization.guards import Guard
from broadcasting.authorization.patterns import InvalidPattern, Pattern, compile_pattern
from broadcasting.authorization.permissions import (
    permission_names,
    permission_problems,
    require,
)
from broadcasting.protocol.names import ChannelKind
from broadcasting.wording import name_of

_Handler = TypeVar("_Handler", bound=Callable[..., Any])

_KINDS = {
    "private": ChannelKind.PRIVATE,
    "presence": ChannelKind.PRESENCE,
    "encrypted": ChannelKind.ENCRYPTED,
}


class ChannelRoute:
    """A rule as a class: write ``join(self, user, ...)``, sync or async.

    One instance a question. ``join`` returns what a function would.
    """

    request: HttpRequest
    channel: str
    """The whole name that is asked for, with its prefix."""

    socket_id: str


class Route:
    """One registered rule."""

    def __init__(
        self,
        pattern: str,
        handler: Callable[..., Any],
        *,
        guards: Sequence[Guard] | None = None,
        kinds: frozenset[ChannelKind] = frozenset(_KINDS.values()),
        allow_anonymous: bool = False,
        permissions: Sequence[str] = (),
    ) -> None:
        self.text = pattern
        self.handler = handler
        self.guards = guards
        self.kinds = kinds
        self.allow_anonymous = allow_anonymous
        self.permissions = permissions

    def __repr__(self) -> str:
        return f"<Route {self.text!r} -> {self.name}>"

    @property
    def name(self) -> str:
        """The dotted path of the function or class, for people."""
        return name_of(self.handler)

    # Late: path converters may be registered and annotations defined after the rule.
    @cached_property
    def pattern(self) -> Pattern:
        """Raises InvalidPattern."""
        return compile_pattern(self.text)

    @cached_property
    def plan(self) -> Plan:
        """How the rule is called. Raises InvalidPattern."""
        rule = self._rule
        if not callable(rule):
            return Plan(problems=["the class has no join method"])
        plan = make_plan(rule, self.pattern)
        plan.problems += permission_problems(self.permissions)
        return plan

    @cached_property
    def _rule(self) -> Any:
        if not inspect.isclass(self.handler):
            return self.handler
        # Bound, so that "self" is no parameter of the rule.
        return getattr(object.__new__(self.handler), "join", None)

    def match(self, name: str) -> dict[str, Any] | None:
        """Return the placeholders' values in ``name`` (without prefix), or None."""
        try:
            return self.pattern.match(name)
        except InvalidPattern:
            return None

    def call(self, values: dict[str, Any], user: Any, **special: Any) -> Any:
        """Return what the rule says, possibly an awaitable.

        ``special``: the ``request``, ``channel`` and ``socket_id`` of the question. Raises
        Refused for a value that does not fit or a permission that is missing,
        ImproperlyConfigured for a rule that cannot be called.
        """
        if self.plan.problems:
            raise ImproperlyConfigured(f"{self.name}: {'; '.join(self.plan.problems)}")
        args, named = self.plan.bind(values, user, special)
        if self.permissions:
            bound = [named[name] for name in values]
            require(self.permissions, user, bound, is_async=iscoroutinefunction(self._rule))
        if not inspect.isclass(self.handler):
            return self.handler(*args, **named)
        instance: Any = self.handler()
        for name, value in special.items():
            setattr(instance, name, value)
        return instance.join(*args, **named)


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
    guards: Guard | Iterable[Guard] | None = None,
    kinds: str | Iterable[str] | None = None,
    allow_anonymous: bool = False,
    perm: str | Iterable[str] | None = None,
) -> Callable[[_Handler], _Handler]:
    """Register the decorated function or ChannelRoute class as the rule of ``pattern``.

    ``pattern``: a channel name without its prefix, as ``orders.{order}``, or a model class.
    ``guards``: who finds the user, in order, instead of ``AUTHORIZATION.GUARDS``.
    ``kinds``: the kinds of channel it decides about, of ``private``, ``presence`` and
    ``encrypted``; all of them if left out. ``allow_anonymous``: guests are asked about too.
    ``perm``: a permission of Django's, or several, without which the user is refused before
    the rule is asked.

    The rule returns False to refuse, another falsy value to let the next matching rule
    decide, anything truthy to allow; for a presence channel a dict of what the others see. What
    is no answer at all (a coroutine, a function, a tuple) is an error, and allows nobody.
    Raises TypeError for what is neither a function nor a ChannelRoute, ValueError for an
    unknown kind.
    """
    text = pattern if isinstance(pattern, str) else model_pattern(pattern)

    def register(handler: _Handler) -> _Handler:
        if inspect.isclass(handler):
            if not issubclass(handler, ChannelRoute):
                raise TypeError(f"{handler.__name__} must be a subclass of ChannelRoute")
        elif not callable(handler):
            raise TypeError(f"A channel rule is a function or a ChannelRoute, not {handler!r}")
        routes.add(
            Route(
                text,
                handler,
                guards=_guards(guards),
                kinds=_kind_set(kinds),
                allow_anonymous=allow_anonymous,
                permissions=permission_names(perm),
            )
        )
        return handler

    return register


def model_pattern(model: type[models.Model]) -> str:
    """Return the pattern of a model's own channels, as ``shop.OrderItem.{order_item}``."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()
    return f"{model._meta.label}.{{{name}}}"


def _guards(guards: Guard | Iterable[Guard] | None) -> Sequence[Guard] | None:
    if guards is None:
        return None
    return (guards,) if isinstance(guards, str) or not isinstance(guards, Iterable) else (*guards,)


def _kind_set(kinds: str | Iterable[str] | None) -> frozenset[ChannelKind]:
    if kinds is None:
        return frozenset(_KINDS.values())
    names = {kinds} if isinstance(kinds, str) else {*kinds}
    if unknown := names - _KINDS.keys():
        raise ValueError(f"Unknown channel kinds {sorted(unknown)}; known: {', '.join(_KINDS)}")
    return frozenset(_KINDS[name] for name in names)
