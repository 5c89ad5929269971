"""One rule: the pattern of its channels, the function that decides, and how it is called.

Making one never fails because of a pattern or a signature, since that would break the import
of a module; the system checks report ``Route.plan.problems`` and such a rule is not called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from broadcasting.authorization.binding import Plan, make_plan
from broadcasting.authorization.guards import Guard
from broadcasting.authorization.patterns import InvalidPattern, Pattern, compile_pattern
from broadcasting.authorization.permissions import PermissionRule, permission_problems, require
from broadcasting.protocol.names import ChannelKind
from broadcasting.wording import name_of

GUARDED = frozenset({ChannelKind.PRIVATE, ChannelKind.PRESENCE, ChannelKind.ENCRYPTED})
"""The kinds of channel that a rule may decide about."""


class ChannelRoute:
    """A rule as a class: write ``join(self, user, ...)``, sync or async.

    One instance a question. ``join`` returns what a function would.
    """

    request: HttpRequest
    channel: str
    """The whole name that is asked for, with its prefix."""

    socket_id: str


class Route:
    """One rule, registered or in a list.

    ``reverse_name``: what reverse() knows it by.
    """

    def __init__(
        self,
        pattern: str,
        handler: Callable[..., Any],
        *,
        guards: Sequence[Guard] | None = None,
        kinds: frozenset[ChannelKind] = GUARDED,
        allow_anonymous: bool = False,
        permissions: Sequence[str] = (),
        reverse_name: str | None = None,
    ) -> None:
        self.text = pattern
        self.handler: Any = handler
        self.guards = guards
        self.kinds = kinds
        self.allow_anonymous = allow_anonymous
        self.permissions = permissions
        self.reverse_name = reverse_name

    def __repr__(self) -> str:
        return f"<Route {self.text!r} -> {self.name}>"

    @property
    def name(self) -> str:
        """The dotted path of the function or class, for people."""
        return self.handler.name if self._is_bare else name_of(self.handler)

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
        if inspect.isclass(self.handler) and not _takes_nothing(self.handler):
            plan.problems.append("the class cannot be made without arguments")
        plan.problems += permission_problems(self.permissions)
        if self._is_bare:
            plan.problems += self.handler.problems(self.pattern.placeholders)
        return plan

    @property
    def _is_bare(self) -> bool:
        return isinstance(self.handler, PermissionRule)

    @cached_property
    def _rule(self) -> Any:
        if not inspect.isclass(self.handler):
            return self.handler
        # Bound, so that "self" is no parameter of the rule.
        return getattr(object.__new__(self.handler), "join", None)

    def within(self, prefix: str, namespace: str) -> Route:
        """Return the rule as it is included: behind ``prefix``, and named in ``namespace``."""
        inner = copy(self)
        for made in ("pattern", "plan"):
            inner.__dict__.pop(made, None)
        if prefix:
            inner.text = f"{prefix.removesuffix('.')}.{self.text}"
        if namespace and self.reverse_name is not None:
            inner.reverse_name = f"{namespace}:{self.reverse_name}"
        return inner

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


def _takes_nothing(cls: type) -> bool:
    try:
        inspect.signature(cls).bind()
    except TypeError:
        return False
    except ValueError:  # of a signature that cannot be read nothing is known
        return True
    return True
