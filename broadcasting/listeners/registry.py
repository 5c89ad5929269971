"""Who listens to which events, found by the class of an event. Calls nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import isclass, iscoroutinefunction, unwrap
from typing import Any

from broadcasting.wording import name_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listener:
    """One listener, and how it is to be called. Durations in seconds."""

    events: tuple[type, ...]
    handler: Callable[..., Any]
    """A function, a class with ``handle(event)``, or a method of ``owner``."""

    owner: type | None = None
    """The Subscriber whose method the handler is."""

    subclasses: bool = False
    """Whether it hears events of subclasses too."""

    queued: bool = False
    queue: str | None = None
    delay: float = 0
    when: Callable[[Any], object] | None = None
    """Asked with the event whether to call it at all."""

    after_commit: bool = False
    tries: int = 1
    backoff: tuple[float, ...] = (1, 5)
    """Waits between attempts; the last one repeats."""

    timeout: float | None = None
    dispatch_uid: str | None = None

    @property
    def name(self) -> str:
        """The dotted path of the function, method or class, for people."""
        return name_of(self.handler)

    @property
    def key(self) -> str:
        """What a worker finds it by: ``dispatch_uid``, else its dotted path."""
        return self.dispatch_uid or self.name

    @property
    def is_async(self) -> bool:
        """Whether it is known before the call that it must be awaited."""
        called = getattr(self.handler, "handle", None) if isclass(self.handler) else self.handler
        return iscoroutinefunction(called)

    def hears(self, event: type) -> bool:
        """Whether it listens to events of the class ``event``."""
        return event in self.events or (self.subclasses and issubclass(event, self.events))

    def target(self) -> Callable[[Any], Any]:
        """Return what takes the event; a class is made anew for each."""
        if self.owner is not None:
            method: Callable[[Any], Any] = getattr(self.owner(), self.handler.__name__)
            return method
        if isclass(self.handler):
            made: Any = self.handler()
            handle: Callable[[Any], Any] = made.handle
            return handle
        return self.handler

    def is_replaced_by(self, other: Listener) -> bool:
        """Whether ``other`` is this one again: the same, or its module was loaded again."""
        if self.dispatch_uid or other.dispatch_uid:
            return self.dispatch_uid == other.dispatch_uid
        if self.events != other.events and [*map(name_of, self.events)] != [
            *map(name_of, other.events)
        ]:
            return False
        if self.handler == other.handler:  # not "is": a bound method is made anew each time
            return True
        if isclass(self.handler) or isclass(other.handler):
            is_local = "<locals>" in self.name
            return self.name == other.name and not is_local
        own, new = (getattr(unwrap(one.handler), "__code__", None) for one in (self, other))
        # Whatever one loading of a module makes of a function has the very same code.
        return None not in (own, new) and own is not new and _place(own) == _place(new)


def _place(code: Any) -> tuple[Any, ...]:
    # With what it does, since one line may hold two lambdas.
    names = ("co_filename", "co_firstlineno", "co_name", "co_code", "co_consts", "co_names")
    return tuple(getattr(code, name) for name in names)


class Listeners:
    """Every listener, in order of registration, which is the order of calling."""

    def __init__(self) -> None:
        self._entries: tuple[Listener, ...] = ()
        self._found: dict[type, tuple[Listener, ...]] = {}

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._entries)

    def of(self, event: type) -> tuple[Listener, ...]:
        """Return who hears events of the class ``event``: its own listeners first."""
        # This one look is all that an event costs to which nobody listens.
        found = self._found.get(event)
        return self._find(event) if found is None else found

    def find(self, key: str, event: type) -> Listener | None:
        """Return the listener that a worker is to call, if this process knows it."""
        return next((one for one in self.of(event) if one.key == key), None)

    def add(self, listener: Listener) -> None:
        """Register ``listener``; the same for the same events takes the old one's place.

        Raises ValueError for a queued one that a worker could not tell from another.
        """
        entries = [listener if old.is_replaced_by(listener) else old for old in self._entries]
        if not any(entry is listener for entry in entries):
            entries.append(listener)
        for other in entries:
            both = {*other.events} & {*listener.events}
            if other is not listener and listener.queued and other.key == listener.key and both:
                raise ValueError(
                    f"{listener.name} is queued, and another listener has the same name: give"
                    " each a dispatch_uid of its own"
                )
        self._set(tuple(dict.fromkeys(entries)))

    def forget(self, event: type, handler: Callable[..., Any] | None = None) -> None:
        """Let ``handler``, or whoever does, no longer listen to ``event`` by that very name."""
        kept = []
        for entry in self._entries:
            if handler is not None and entry.handler != handler:
                kept.append(entry)
            elif rest := tuple(other for other in entry.events if other is not event):
                kept.append(entry if rest == entry.events else replace(entry, events=rest))
        self._set(tuple(kept))

    @contextmanager
    def isolated(self) -> Iterator[Listeners]:
        """Begin with no listeners and forget what is registered meanwhile; for tests."""
        kept = self._entries
        self._set(())
        try:
            yield self
        finally:
            self._set(kept)

    def _set(self, entries: tuple[Listener, ...]) -> None:
        self._entries = entries
        # Replaced, never changed: another thread may be looking.
        self._found = {}

    def _find(self, event: type) -> tuple[Listener, ...]:
        known = self._found
        order = {cls: place for place, cls in enumerate(event.__mro__)}

        def nearest(listener: Listener) -> int:
            return min(order.get(cls, len(order)) for cls in listener.events)

        heard = sorted((one for one in self._entries if one.hears(event)), key=nearest)
        known[event] = tuple(heard)
        return known[event]


listeners = Listeners()


def has_listeners(event: type) -> bool:
    """Whether anybody listens to events of the class ``event``."""
    return bool(listeners.of(event))


def forget(event: type, listener: Callable[..., Any] | None = None) -> None:
    """Let nobody listen to ``event`` any more, or only ``listener`` no longer.

    Those that hear it as a subclass of what they listen to still do.
    """
    listeners.forget(event, listener)
