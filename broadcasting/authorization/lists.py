"""Rules as a list, written as URLs are: ``channelpatterns`` in a channels.py.

Lists are registered once all of them are known: one that another includes has no rules of
its own, only those behind the other's prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import models

from broadcasting.authorization.guards import Guard
from broadcasting.authorization.rule import Route
from broadcasting.authorization.rules import make_route, routes

NAME = "channelpatterns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Another list, behind a prefix."""

    entries: Sequence[Any]
    prefix: str
    namespace: str


def route(
    pattern: str | type[models.Model],
    handler: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    guards: Guard | Iterable[Guard] | None = None,
    kinds: str | Iterable[str] | None = None,
    allow_anonymous: bool = False,
    perm: str | Iterable[str] | None = None,
) -> Route:
    """Return a rule for ``channelpatterns``; arguments and errors are those of channel().

    ``handler``: the function or ChannelRoute class that decides. It may be left out where
    ``perm`` says all: for a model, and for a pattern whose placeholders are all bound.
    """
    return make_route(
        pattern,
        handler,
        name=name,
        guards=guards,
        kinds=kinds,
        allow_anonymous=allow_anonymous,
        perm=perm,
    )


def include(
    target: str | ModuleType | Sequence[Any], *, prefix: str = "", namespace: str = ""
) -> Include:
    """Return the rules of another list for ``channelpatterns``.

    ``target``: a module that has ``channelpatterns``, its dotted path, or a list.
    ``prefix``: what the names of their channels begin with, joined by a dot; it may have
    placeholders. ``namespace``: makes ``shop:order`` of the name ``order``. Raises
    ImproperlyConfigured for what has no list.
    """
    found: Any = import_module(target) if isinstance(target, str) else target
    if isinstance(found, ModuleType):
        found = _list_of(found)
        if found is None:
            raise ImproperlyConfigured(f"{target} has no list {NAME} that could be included")
    _check(found, f"What is included as {prefix!r}")
    return Include(entries=found, prefix=prefix, namespace=namespace)


def register_lists(modules: Iterable[ModuleType]) -> None:
    """Register the lists of ``modules``, but for those that others include.

    Raises ImproperlyConfigured for what is no list of rules.
    """
    lists = {}
    for module in modules:
        found = _list_of(module)
        if found is not None:
            _check(found, f"{module.__name__}.{NAME}")
            lists[id(found)] = found
    included = {part for entries in lists.values() for part in _included(entries)}
    for known, entries in lists.items():
        if known not in included:
            for each in _routes(entries):
                routes.add(each)


def _list_of(module: ModuleType) -> Any:
    return getattr(module, NAME, None)


def _check(entries: Any, place: str) -> None:
    if not isinstance(entries, list | tuple):
        raise ImproperlyConfigured(
            f"{place} is a {type(entries).__name__}, where a list of route() and include() belongs"
        )
    for index, entry in enumerate(entries):
        if not isinstance(entry, Route | Include):
            raise ImproperlyConfigured(
                f"{place}, entry {index}: a {type(entry).__name__} is neither route() nor include()"
            )


def _included(entries: Sequence[Any]) -> Iterator[int]:
    for entry in entries:
        if isinstance(entry, Include):
            yield id(entry.entries)
            yield from _included(entry.entries)


def _routes(entries: Sequence[Any]) -> Iterator[Route]:
    for entry in entries:
        if isinstance(entry, Route):
            yield entry
            continue
        for inner in _routes(entry.entries):
            yield inner.within(entry.prefix, entry.namespace)
