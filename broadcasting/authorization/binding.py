"""From the text in a channel name to the arguments of a rule, by name and annotation.

Reads a rule's signature once and lists what is wrong with it; a value that does not fit
its annotation, or a row that does not exist, refuses the channel.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.http import Http404

from broadcasting.authorization.finders import finders
from broadcasting.authorization.guards import settle
from broadcasting.authorization.lookups import Lookup, RowLookup, Unusable, make_lookup
from broadcasting.authorization.outcomes import Refused
from broadcasting.authorization.patterns import Pattern, Placeholder

_SPECIAL = ("request", "channel", "socket_id")
_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_EMPTY = inspect.Parameter.empty

Convert = Callable[[Any], Any]


@dataclass(slots=True, kw_only=True)
class Plan:
    """How to call one rule."""

    problems: list[str] = field(default_factory=list)
    """What is wrong with its signature; such a rule is never called."""

    user: str | None = None
    """The parameter that takes the user, or None."""

    user_by_position: bool = False
    special: Sequence[str] = ()
    converts: Mapping[str, Convert] = field(default_factory=dict)
    rows: dict[str, RowLookup] = field(default_factory=dict)
    """How the placeholders are found that are rows."""

    def bind(
        self, values: Mapping[str, Any], user: Any, special: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the call. Raises Refused for a value that does not fit."""
        named = {name: self.converts[name](value) for name, value in values.items()}
        named.update((name, special[name]) for name in self.special)
        if self.user is None:
            return [], named
        if self.user_by_position:
            return [user], named
        return [], {**named, self.user: user}


def make_plan(rule: Callable[..., Any], pattern: Pattern) -> Plan:
    """Return how to call ``rule`` with the placeholders of ``pattern``."""
    plan = Plan()
    try:
        parameters = list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError) as error:
        plan.problems.append(f"its signature cannot be read: {error}")
        return plan
    placeholders = pattern.placeholders
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    by_name = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    _find_user(plan, by_name, placeholders)
    plan.special = [n for n in _SPECIAL if n in by_name and n not in placeholders]
    for name, parameter in by_name.items():
        if name in (plan.user, *plan.special, *placeholders):
            if parameter.kind is parameter.POSITIONAL_ONLY and name != plan.user:
                plan.problems.append(f"parameter {name!r} must be callable by name")
        elif parameter.default is _EMPTY:
            plan.problems.append(f"parameter {name!r} is not a placeholder of the pattern")
    converts: dict[str, Convert] = {}
    for name, placeholder in placeholders.items():
        known = by_name.get(name)
        if known is None and not takes_any:
            plan.problems.append(f"no parameter takes the placeholder {{{name}}}")
            continue
        try:
            annotation: Any = _EMPTY
            lookup = Lookup()
            if known is not None:
                annotation, lookup = _resolve(known.annotation, rule)
            if _is_model(annotation):
                plan.rows[name] = make_lookup(name, annotation, placeholder.field, lookup)
            converts[name] = _bound(placeholder, annotation, plan.rows.get(name))
        except Unusable as error:
            plan.problems.append(str(error))
    plan.converts = converts
    return plan


def _find_user(
    plan: Plan,
    parameters: Mapping[str, inspect.Parameter],
    placeholders: Mapping[str, Placeholder],
) -> None:
    seen_placeholder = False
    for name, parameter in parameters.items():
        if name in placeholders or name in _SPECIAL:
            seen_placeholder |= name in placeholders
            continue
        leads = (
            not seen_placeholder
            and parameter.default is _EMPTY
            and parameter.kind is not parameter.KEYWORD_ONLY
        )
        if name == "user" or leads:
            plan.user = name
            plan.user_by_position = parameter.kind is parameter.POSITIONAL_ONLY
            return
    # "def rule(user)" for "users.{user}" would judge the user that the visitor named.
    if "user" in placeholders and "user" in parameters:
        plan.problems.append(
            "'user' is a placeholder here, so the signed-in user needs a parameter of another"
            " name before it, for instance (visitor, user)"
        )


def _resolve(annotation: Any, rule: Callable[..., Any]) -> tuple[Any, Lookup]:
    """Return the type behind an annotation that may be a string, and how its row is found."""
    if isinstance(annotation, str):
        function: Any = inspect.unwrap(rule)
        if not hasattr(function, "__globals__"):
            function = getattr(function, "func", None) or type(function).__call__
        scope = getattr(inspect.unwrap(function), "__globals__", {})
        try:
            # The rule's own source text, in its own module: what typing.get_type_hints does,
            # but a name that only type checkers import spoils this parameter alone.
            annotation = eval(annotation, {**scope})  # noqa: S307
        except Exception as error:
            raise Unusable(
                f"the annotation {annotation!r} cannot be resolved ({error});"
                " import it outside 'if TYPE_CHECKING:'"
            ) from error
    lookup = Lookup()
    if get_origin(annotation) is Annotated:
        annotation, *told = get_args(annotation)
        lookup = next((each for each in told if isinstance(each, Lookup)), lookup)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [m for m in get_args(annotation) if m is not type(None)]
        if len(members) == 1:
            return members[0], lookup
    return annotation, lookup


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, models.Model)


def _bound(placeholder: Placeholder, annotation: Any, row: RowLookup | None) -> Convert:
    """Return what asks the project's own finder first, and then the annotation."""
    name = placeholder.name
    convert: Convert
    try:
        convert = row or _converter(placeholder, annotation)
    except Unusable:
        # Any annotation will do for what a finder returns.
        if finders.get(name) is None or placeholder.field is not None:
            raise
        convert = _as_it_is
    if placeholder.field is not None:
        return convert

    def find(value: Any) -> Any:
        # Late: a finder that was bound after the first question counts too.
        finder = finders.get(name)
        if finder is None:
            return convert(value)
        try:
            found = settle(finder(value))
        except (ObjectDoesNotExist, Http404):
            found = None
        except (ValueError, OverflowError, ValidationError) as error:
            raise Refused(f"{name}={str(value)!r} does not fit: {error}") from error
        if found is None:
            raise Refused(f"nothing is bound to {name}={str(value)!r}")
        if found is value:
            return convert(value)
        if row is not None and not isinstance(found, row.model):
            raise TypeError(
                f"the finder of {{{name}}} returned a {type(found).__name__}, where the rule"
                f" expects {row.model._meta.label}"
            )
        return found

    return find


def _converter(placeholder: Placeholder, annotation: Any) -> Convert:
    name = placeholder.name
    if placeholder.field is not None:
        raise Unusable(
            f"{{{name}:{placeholder.field}}} needs a model annotation on {name!r}"
            f" (there is no path converter called {name!r})"
        )
    if placeholder.converter is not None:
        return _as_it_is
    if annotation in (_EMPTY, Any, str, object):
        return _as_it_is
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        members = {str(member.value): member for member in annotation}
        return _fitting(name, annotation.__name__, members.__getitem__)
    # A type first: whatever else stands there may not even be hashable.
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _fitting(name, annotation.__name__, _SCALARS[annotation])
    raise Unusable(f"the annotation of {name!r} is neither a model nor a type we can convert to")


def _as_it_is(value: Any) -> Any:
    return value


def _fitting(name: str, type_name: str, convert: Convert) -> Convert:
    def fit(text: Any) -> Any:
        try:
            return convert(text)
        except (KeyError, ValueError):
            raise Refused(f"{name}={text!r} is not a valid {type_name}") from None

    return fit


def _integer(text: str) -> int:
    # int() itself would take "1_000".
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text)


def _decimal(text: str) -> Decimal:
    # Decimal() itself would take "1_000", "NaN", and "1e999999999", which is a gigabyte to write.
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return Decimal(text)


_SCALARS: dict[Any, Convert] = {
    int: _integer,
    UUID: UUID,
    date: date.fromisoformat,
    Decimal: _decimal,
}
