"""Checks of unique events: that their locks are where every process sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from broadcasting.checks.events import Event, event_classes
from broadcasting.dispatching import EventOptions
from broadcasting.wording import name_of


@register("broadcasting", deploy=True)
def check_locks(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W024: unique events whose lock each process has for itself, or nobody."""
    return [*unshared(event_classes())]


def unshared(events: Iterable[Event]) -> Iterator[CheckMessage]:
    """Yield W024 for those of ``events`` that are unique in one process at most."""
    for event in events:
        options: EventOptions = event._broadcasting
        problem = _problem(options.unique_cache) if options.unique else None
        if problem is not None:
            yield CheckWarning(
                f"{name_of(event)} is unique, but CACHES[{options.unique_cache!r}] {problem}.",
                hint="Use a cache that all processes share, such as Redis or the database; class"
                " Meta: unique_cache = ... names another alias.",
                obj=event,
                id="broadcasting.W024",
            )


def _problem(alias: str) -> str | None:
    try:
        cache = caches[alias]
    except InvalidCacheBackendError:
        return "is not there"
    except Exception:  # a backend of somebody else's raises what it likes, when it is used
        return None
    if isinstance(cache, DummyCache):
        return "keeps nothing, so that the event is sent each time"
    if isinstance(cache, LocMemCache):
        return "is one for each process, so that each sends the event"
    return None
