"""Events: plain classes that say where they go, what they are called and what they carry.

An event holds its data and nothing of its dispatch: options live in ``class Meta``, what
is decided per call lives in a ``Dispatch``. Annotations make an event a dataclass; a
hand-written ``__init__`` is left alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, ClassVar, Self, dataclass_transform

import msgspec
from django.utils.functional import cached_property as django_cached_property

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.channels import Targets, TargetsByBroadcaster
from broadcasting.dispatching import Dispatch, EventOptions, options_of
from broadcasting.forking import ForkSafeLock
from broadcasting.job_middleware import Middleware
from broadcasting.shown import is_shown, public_values

# Dataclasses are made step by step; nobody may use one that another thread has half made.
_making = ForkSafeLock()


def _make_dataclass(cls: type) -> None:
    """Turn an event class into a dataclass, unless it has a say in its own ``__init__``."""
    if "_broadcasting_made" in cls.__dict__:
        return
    with _making:
        if "_broadcasting_made" not in cls.__dict__:
            _make_dataclass_once(cls)
            cls._broadcasting_made = True  # type: ignore[attr-defined]


def _make_dataclass_once(cls: type) -> None:
    if cls.__module__ == __name__ or _is_foreign(cls):
        return
    if not _is_dataclass(cls):
        if _writes_init(cls):
            # It may call the one that its parent has not been given yet.
            for parent in reversed(cls.__mro__[1:]):
                if issubclass(parent, ShouldBroadcast):
                    _make_dataclass(parent)
            return
        if not _is_annotated(cls):
            return
        parents = [p for p in cls.__mro__ if "__dataclass_params__" in p.__dict__]
        # A dataclass may not thaw what its parent froze.
        frozen = bool(parents) and parents[0].__dict__["__dataclass_params__"].frozen
        try:
            dataclasses.dataclass(frozen=frozen)(cls)
        except TypeError:
            # Half made it would pass for whole the next time, and hide the mistake.
            cls.__dataclass_fields__ = _DataclassFields()  # type: ignore[attr-defined]
            raise
    for field in dataclasses.fields(cls):
        if field.name in _RESERVED:
            raise TypeError(
                f"{cls.__name__}.{field.name}: the name is taken by"
                f" ShouldBroadcast.{field.name}(); call the attribute something else"
            )


def _is_dataclass(cls: type) -> bool:
    """Whether ``cls`` itself, not only a parent, was made a dataclass."""
    return isinstance(cls.__dict__.get("__dataclass_fields__"), dict)


def _is_foreign(cls: type) -> bool:
    """Whether msgspec or pydantic makes the ``__init__``."""
    return issubclass(cls, msgspec.Struct) or hasattr(cls, "model_dump")


def _writes_init(cls: type) -> bool:
    for parent in cls.__mro__:
        if parent is ShouldBroadcast or "__dataclass_params__" in parent.__dict__:
            return False
        if "__init__" in parent.__dict__:
            return not _is_foreign(cls)
    return False


def _is_annotated(cls: type) -> bool:
    """Whether there is anything to make fields of.

    A bare base stays bare, or no child of it could be frozen.
    """
    parents = cls.__mro__[: cls.__mro__.index(ShouldBroadcast)]
    # The second name is Python 3.14's.
    return any({"__annotations__", "__annotate_func__"} & vars(p).keys() for p in parents)


class _DataclassFields:
    """Make an event class a dataclass when somebody first looks.

    Not at once, since a decorator of the program's own (``@dataclass(frozen=True)``) would
    come after that and find its work half done.
    """

    def __get__(self, instance: object, owner: type[ShouldBroadcast]) -> Any:
        _make_dataclass(owner)
        made = owner.__dict__.get("__dataclass_fields__")
        if not isinstance(made, dict):
            raise AttributeError("__dataclass_fields__")
        return made


class _MadeOnFirstUse:
    # A class of its own, since msgspec takes no direct base that defines __new__.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        _make_dataclass(cls)
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        return super().__new__(cls)


@dataclass_transform(field_specifiers=(dataclasses.field,))
class ShouldBroadcast(_MadeOnFirstUse):
    """Base of every event; subclass it, annotate what it carries, say ``broadcast_on()``.

    ::

        class OrderShipped(ShouldBroadcast):
            order: Order
            tracking_code: str = ""

            class Meta:
                fields = {"order": ["id", "status"]}

            def broadcast_on(self):
                return PrivateChannel(f"orders.{self.order.pk}")

        OrderShipped(order).dispatch()

    ``Meta`` may set: ``fields``, ``name``, ``broadcasters``, ``queue``, ``tries``,
    ``backoff``, ``delay``, ``timeout`` and ``expires`` (seconds), ``render``, ``missing``,
    ``unique``, ``unique_for`` (seconds), ``unique_cache``, ``debounce``, ``max_wait`` and
    ``throttle`` (seconds),
    ``after_commit``, ``rescue``, ``to_others``, ``using``, ``now``. It is inherited option by
    option; an unknown one is a TypeError.
    """

    _broadcasting: ClassVar[EventOptions] = EventOptions()
    __dataclass_fields__: ClassVar[Any] = _DataclassFields()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._broadcasting = options_of(cls)
        # ``@dataclass(slots=True)`` makes a second class, which has its fields already.
        if not _is_foreign(cls) and not _is_dataclass(cls):
            # Each its own, or it would show the fields of its parent.
            cls.__dataclass_fields__ = _DataclassFields()

    def broadcast_on(self) -> Targets | TargetsByBroadcaster:
        """Return where the event goes: channels, wire names or models, one or several.

        A dict of broadcasters' aliases gives each its own.
        """
        raise NotImplementedError(f"{type(self).__name__} must define broadcast_on()")

    def broadcast_as(self) -> str | Enum | None:
        """Return the name clients listen to; None for ``Meta.name`` or the class name."""
        return None

    def broadcast_with(self) -> Any:
        """Return the payload: a mapping, dataclass, pydantic model or msgspec Struct.

        None stands for the event's public attributes, PerBroadcaster for one for each.
        """
        return None

    def broadcast_queue(self) -> str | None:
        """Return the queue that its job waits on; None for ``Meta.queue``."""
        return None

    def broadcast_when(self) -> bool:
        """Return whether to broadcast at all; asked when the event is handed on."""
        return True

    def unique_id(self) -> str | int:
        """Return what tells apart the events of one class of which each may wait once."""
        return ""

    def coalesce_key(self) -> str | int:
        """Return what tells apart the events of one class and channel of which the last leaves.

        For ``Meta.debounce`` and ``Meta.throttle``.
        """
        return ""

    def middleware(self) -> Iterable[Middleware]:
        """Return what stands around its job in a queue: callables ``(job, next_)``.

        Asked in the worker, where the event was made again. Not for events that do not wait.
        """
        return ()

    def broadcast_failed(self, error: Exception) -> None:
        """Hear that the event was given up by one of its broadcasters, after the last attempt.

        Called where that was decided: in the caller, or in a worker, where the event was made
        again and its rows fetched. What it raises is logged.
        """

    def dispatch(self) -> None:
        """Broadcast after the current transaction commits, or at once outside one.

        Safe from views, signals, tasks, threads and the shell; with a running event loop it
        never blocks that loop, and failures to hand on are logged. Raises what the hooks
        raise, PayloadError, InvalidChannelName, InvalidEventName, AutocommitOff, and
        PublishError unless ``rescue``; in a coroutine that ``async_to_sync()`` runs these are
        logged too, since the thread that waits for it looks for its transaction.
        """
        Dispatch(self).dispatch()

    async def adispatch(self) -> None:
        """See dispatch(). Waits until the event was handed on or its commit is awaited."""
        await Dispatch(self).adispatch()

    def to_others(self, socket_id: str | None = None) -> Dispatch:
        """Leave out the tab that asked (``X-Socket-ID``), or the one with ``socket_id``."""
        return Dispatch(self).to_others(socket_id)

    def to_everyone(self) -> Dispatch:
        """Undo ``Meta.to_others``."""
        return Dispatch(self).to_everyone()

    def via(self, *broadcasters: str | BaseBroadcaster) -> Dispatch:
        """Send through these aliases of ``BROADCASTERS``, or what ``broadcasters.build()`` made."""
        return Dispatch(self).via(*broadcasters)

    def on_queue(self, name: str) -> Dispatch:
        """Push on this queue instead of ``Meta.queue``."""
        return Dispatch(self).on_queue(name)

    def delay(self, seconds: float) -> Dispatch:
        """Send ``seconds`` later, through a queue that can wait (not ``sync``)."""
        return Dispatch(self).delay(seconds)

    def expires(self, seconds: float) -> Dispatch:
        """Drop its job if it is still waiting ``seconds`` after it was due."""
        return Dispatch(self).expires(seconds)

    def now(self) -> Dispatch:
        """Send in this process, without the queue (still after the commit)."""
        return Dispatch(self).now()


class ShouldBroadcastNow(ShouldBroadcast):
    """An event that does not wait in a queue."""

    class Meta:
        now = True


_RESERVED = frozenset(name for name in vars(ShouldBroadcast) if not name.startswith("_"))


def payload_of(event: Any) -> Mapping[Any, Any]:
    """Return what an event carries unless it says otherwise: its public attributes."""
    cls: Any = type(event)
    values = public_values(event) if _shows_fields(cls) else None
    if values is not None:
        return values
    hidden = _hidden(cls)
    return {
        name: value
        for name, value in vars(event).items()
        if not name.startswith("_") and name not in hidden and not is_cached(cls, name)
    }


def _hidden(cls: type) -> set[str]:
    """Return the names that a class or one of its parents declared as not to be broadcast.

    A hand-written ``__init__`` changes how they are set, not what may leave.
    """
    shown: dict[str, bool] = {}
    for parent in reversed(cls.__mro__):
        for declared in (parent.__dict__.get("__dataclass_fields__"), vars(parent)):
            fields = declared if isinstance(declared, Mapping) else {}
            shown |= {n: is_shown(f) for n, f in fields.items() if isinstance(f, dataclasses.Field)}
    return {name for name, is_so in shown.items() if not is_so}


def is_cached(cls: type, name: str) -> bool:
    """Whether an attribute is a property, though what that once returned is kept."""
    return isinstance(getattr(cls, name, None), _CACHED)


_CACHED = (functools.cached_property, django_cached_property)


def attributes_of(event: Any) -> list[Any]:
    """Return whatever an event holds, the private and the hidden too: first what it declares."""
    cls, held = type(event), vars(event)
    declared: Iterable[str] = getattr(cls, "__dataclass_fields__", ())
    names = getattr(cls, "__struct_fields__", declared)
    try:
        found = [held[name] for name in names]
    except KeyError:  # in slots, or not set
        found = [getattr(event, name) for name in names if hasattr(event, name)]
    return [*found, *held.values()]


@functools.lru_cache(maxsize=1000)
def _shows_fields(cls: type) -> bool:
    return not _writes_init(cls)
