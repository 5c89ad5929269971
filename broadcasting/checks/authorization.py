"""Checks of the channel rules, and of what keeps them from being found or asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from broadcasting.authorization.finders import finders
from broadcasting.authorization.guards import SESSION, Guard, find_guard
from broadcasting.authorization.patterns import InvalidPattern
from broadcasting.authorization.rule import Route
from broadcasting.authorization.rules import routes
from broadcasting.authorization.users import resolver
from broadcasting.conf import get_settings
from broadcasting.protocol.names import ChannelKind, base_name, is_channel_name, kind_of
from broadcasting.wording import name_of

_BRACES = re.compile(r"\{[^{}]*\}")


@register("broadcasting")
def check_rules(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E011, E013, E014 and W013: rules that cannot work, or not as they read."""
    return [
        *_duplicates(),
        *_names(),
        *_finders(),
        *_patterns(),
        *_signatures(),
        *_resolver(),
        *_guards(),
    ]


@register("broadcasting")
def check_channels_is_ours_to_import(
    app_configs: object = None, **kwargs: object
) -> list[CheckMessage]:
    """W012: a file or folder ``channels`` in front of Django Channels."""
    # The search path itself: what is imported already says nothing about the next process.
    spec = PathFinder.find_spec("channels")
    if spec is None:
        return []
    folders = spec.submodule_search_locations or ()
    if any((Path(folder) / "layers.py").exists() for folder in folders):
        return []
    return [
        CheckWarning(
            f"{spec.origin or 'a folder'} shadows the package Django Channels.",
            hint="Move the rules into the channels.py of an app or of the project's package,"
            " never beside manage.py.",
            id="broadcasting.W012",
        )
    ]


def _duplicates() -> Iterator[CheckMessage]:
    for earlier, later in routes.duplicates:
        yield Error(
            f"The channel pattern {later.text!r} is registered twice:"
            f" by {earlier.name} and by {later.name}.",
            hint="Keep one, or give them different kinds=.",
            id="broadcasting.E011",
        )


def _names() -> Iterator[CheckMessage]:
    known: dict[str, Route] = {}
    for route in routes:
        name = route.reverse_name
        if name is None or (earlier := known.setdefault(name, route)) is route:
            continue
        yield Error(
            f"Two channel rules are called {name!r}: {earlier.name} and {route.name}.",
            hint="reverse() knows neither. Rename one, or include() its list with a namespace.",
            id="broadcasting.E011",
        )


def _finders() -> Iterator[CheckMessage]:
    for name, earlier, later in finders.duplicates:
        yield Error(
            f"The placeholder {{{name}}} is bound twice: to {name_of(earlier)} and to"
            f" {name_of(later)}.",
            hint="Keep one; the last one bound is asked.",
            id="broadcasting.E011",
        )


def _patterns() -> Iterator[CheckMessage]:
    for route in routes:
        try:
            pattern = route.pattern
        except InvalidPattern as error:
            yield Error(
                f"The channel pattern of {route.name} cannot be read: {error}.",
                hint="Placeholders are {name}, {converter:name} as in URLs, or {model:field}.",
                id="broadcasting.E011",
            )
            continue
        literal = _BRACES.sub("x", pattern.text)
        prefix = literal.removesuffix(base_name(literal))
        if prefix:
            guarded = prefix if kind_of(prefix).guarded else f"{ChannelKind.PRIVATE.value}{prefix}"
            yield CheckWarning(
                f"The channel pattern {pattern.text!r} of {route.name} begins with {prefix!r}:"
                f" names are matched without it, so this rule decides about"
                f" '{guarded}{prefix}...' only.",
                hint=f"Leave {prefix!r} out; kinds= limits a rule to some kinds of channel.",
                id="broadcasting.W013",
            )
        elif not is_channel_name(literal):
            yield CheckWarning(
                f"The channel pattern {pattern.text!r} of {route.name} never matches.",
                hint="Channel names are 1-200 characters of A-Z a-z 0-9 _ - = @ , . ;",
                id="broadcasting.W013",
            )


def _signatures() -> Iterator[CheckMessage]:
    for route in routes:
        try:
            problems = route.plan.problems
        except InvalidPattern:
            continue
        for problem in problems:
            yield Error(
                f"The channel rule {route.name} cannot be called: {problem}.",
                hint=f"It decides about {route.text!r}: take the user first, then one parameter"
                " for each placeholder; request, channel and socket_id are there for the asking.",
                id="broadcasting.E013",
            )


def _resolver() -> Iterator[CheckMessage]:
    for earlier in resolver.replaced:
        yield Error(
            f"There are two user resolvers: {name_of(earlier)} and {resolver.name}.",
            hint="Keep one; the last one registered is asked.",
            id="broadcasting.E011",
        )
    if resolver.problem is not None:
        yield Error(
            f"The user resolver {resolver.name} cannot be called: {resolver.problem}.",
            hint="It takes the user, and the request in a parameter called 'request'.",
            id="broadcasting.E013",
        )


def _guards() -> Iterator[CheckMessage]:
    setting = "BROADCASTING['AUTHORIZATION']['GUARDS']"
    used: list[tuple[Guard, str]] = [
        (guard, setting) for guard in get_settings().authorization.guards
    ]
    used += [(guard, route.name) for route in routes for guard in route.guards or ()]
    seen: list[Guard] = [SESSION]
    for guard, place in used:
        if guard in seen:
            continue
        seen.append(guard)
        try:
            find_guard(guard)
        except ImproperlyConfigured as error:
            yield Error(
                f"{place}: {error}",
                hint="A guard is 'session', or the dotted path of a callable that takes the"
                " request, or of a class with authenticate(request).",
                id="broadcasting.E014",
            )
