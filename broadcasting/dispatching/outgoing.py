"""An event on its way out: what was decided when it was dispatched, and what it was rendered to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache, lru_cache
from os import urandom
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.conf import get_settings
from broadcasting.dispatching.models import Keys
from broadcasting.dispatching.options import EventOptions
from broadcasting.dispatching.packing import Packed
from broadcasting.queues import JobOptions

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast


T = TypeVar("T")


# Structs, since dataclasses that are frozen cost ten times as much to make.
class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An event with everything that was decided when it was dispatched."""

    event: ShouldBroadcast
    """A shallow copy: what the program does to its own afterwards changes nothing."""

    options: EventOptions
    """Those of the class, with the modifiers of this call applied."""

    queue: str | None = None
    """What this call said; None: as the event says, or its class."""

    built: tuple[BaseBroadcaster, ...] = ()
    """Broadcasters that no settings know; what goes through them never waits."""

    except_socket: str | None = None
    id: str = msgspec.field(default_factory=lambda: urandom(16).hex())
    """Goes with it all the way, for every broadcaster and every attempt."""

    keys: Keys = ()
    """The primary keys of its rows when it began to wait for its commit."""

    transaction: str | None = None
    """Alias of the database in whose open transaction its jobs are recorded; None: in none."""

    def __repr__(self) -> str:
        """Show what it is, never what it holds: it ends up in logs and tracebacks."""
        return f"<Outgoing {self.id} {self.label}>"

    @property
    def subject(self) -> ShouldBroadcast:
        """What the program dispatched, where the event is only what carries it."""
        return subject_of(self.event)

    @property
    def label(self) -> str:
        """Dotted path of the event class."""
        cls: Any = type(subject_of(self.event))
        return _label_of(cls)

    @property
    def broadcasters(self) -> tuple[str, ...]:
        """Aliases of what sends it, each once."""
        aliases = self.options.broadcasters
        if not aliases:
            return () if self.built else (get_settings().default_broadcaster,)
        return tuple(dict.fromkeys(aliases))

    @property
    def rescue(self) -> bool:
        """Whether failures are logged instead of raised."""
        rescue = self.options.rescue
        return get_settings().rescue if rescue is None else rescue

    @property
    def values(self) -> Mapping[Any, Any]:
        """The event's public attributes."""
        values: Mapping[Any, Any] = _events().payload_of(self.event)
        return values

    @property
    def attributes(self) -> list[Any]:
        """All that the event holds: a model that is never shown was saved all the same."""
        attributes: list[Any] = _events().attributes_of(self.event)
        return attributes


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One rendered event: a broadcast for each of its broadcasters."""

    outgoing: Outgoing
    broadcasts: tuple[Broadcast, ...]
    here: tuple[tuple[BaseBroadcaster, Broadcast], ...] = ()
    """What leaves through broadcasters that no settings, and so no worker, know."""

    refused: tuple[tuple[Broadcast, Exception], ...] = ()
    """What a broadcaster said at once that it could never send, and why."""

    packed: Packed | None = None
    """The event for a worker to render, in place of the broadcasts."""

    queue: str | None = None
    """Where its jobs are to wait; None: on the default queue."""

    key: str = ""
    """What tells it apart from others of its class: of which one waits, or the last leaves."""

    @property
    def job_options(self) -> JobOptions:
        """How a queue is to run each of the jobs."""
        options = self.outgoing.options
        return JobOptions(
            queue=self.queue,
            tries=options.tries,
            backoff=options.backoff,
            expires=options.expires,
            delay=options.delay,
            timeout=options.timeout,
            label=self.outgoing.label,
            using=self.outgoing.transaction,
            after_commit=options.after_commit,
        )


def has_middleware(outgoing: Outgoing) -> bool:
    """Whether something stands around the jobs of this event."""
    return not outgoing.options.now and has_its_own(outgoing, "middleware")


def has_its_own(outgoing: Outgoing, hook: str) -> bool:
    """Whether the class of the event wrote ``hook`` itself."""
    written: Any = getattr(type(subject_of(outgoing.event)), hook)
    return written is not getattr(_events().ShouldBroadcast, hook)


def subject_of(event: ShouldBroadcast) -> ShouldBroadcast:
    """Return what the program dispatched: ``event``, or what it carries."""
    subject: ShouldBroadcast = getattr(event, "_subject", event)
    return subject


def copy_of(event: T) -> T:
    """Return a shallow copy of an event."""
    cls: Any = type(event)
    if not _is_plain(cls):
        return copy.copy(event)
    # What copy() comes to, at a fourth of the price.
    copied: T = object.__new__(cls)
    vars(copied).update(vars(event))
    return copied


@lru_cache(maxsize=1000)
def _is_plain(cls: type) -> bool:
    """Whether all that its instances hold stands in their ``__dict__``, and may be copied so."""
    has_slots = any(parent.__dict__.get("__slots__") for parent in cls.__mro__)
    own = ("__copy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
    return not has_slots and all(
        getattr(cls, name, None) is getattr(object, name, None) for name in own
    )


@lru_cache(maxsize=1000)
def _label_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@cache
def _events() -> ModuleType:
    # Not at import: events are built on this package.
    from broadcasting import events

    return events
