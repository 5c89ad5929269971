"""What ``class Meta`` of an event may say, checked when the class is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import Any, Final, Literal

from django.core.cache import DEFAULT_CACHE_ALIAS
from django.utils.module_loading import import_string

from broadcasting.durations import is_seconds, is_some_seconds
from broadcasting.encoding import Fields, Serializers


@dataclass(frozen=True, slots=True, kw_only=True)
class EventOptions:
    """The options of one event class. Durations in seconds."""

    fields: Fields = field(default_factory=dict)
    """Name in the payload -> the attributes of that value that may leave."""

    serializer: Serializers = field(default_factory=dict)
    """Name in the payload -> what shows that value; ``""`` for whatever rows there are."""

    name: str | None = None
    """What clients listen to; None: the bare class name."""

    broadcasters: tuple[str, ...] = ()
    """Aliases of ``BROADCASTERS``; empty: the default one."""

    queue: str | None = None
    tries: int = 3
    """Attempts in all, for transport errors only."""

    backoff: tuple[float, ...] = (1, 5)
    """Waits between attempts; the last one repeats."""

    expires: float | None = None
    """Seconds that its job may wait; None: as the queue says."""

    delay: float = 0
    """Seconds before its job is due. Needs a queue that can wait."""

    timeout: float | None = None
    """Seconds that a worker gives its job."""

    render: Literal["commit", "worker"] = "commit"
    """When name, channels and payload are asked for: as it is handed on, or in the worker."""

    missing: Literal["skip", "fail"] = "skip"
    """What becomes of an event whose row is gone when a worker is to render it."""

    unique: bool | Literal["until_processing"] = False
    """Whether a job of its kind may wait only once: until it is done, or begun."""

    unique_for: float = 3600
    """Seconds after which its lock ends at the latest, whatever becomes of the job."""

    unique_cache: str = DEFAULT_CACHE_ALIAS
    """The alias of ``CACHES`` that holds the lock."""

    debounce: float = 0
    """Seconds of quiet before the last of a burst leaves; 0: all leave."""

    max_wait: float | None = None
    """Seconds after which one leaves though there is no quiet; None: ten times ``debounce``."""

    throttle: float = 0
    """Seconds between two of a kind: the first leaves at once, the last when they are over."""

    after_commit: bool = True
    """Whether to wait for the commit of the transaction around the dispatch."""

    rescue: bool | None = None
    """Whether failures are logged instead of raised; None: as ``RESCUE`` says."""

    to_others: bool = False
    using: str | None = None
    """Whose transaction is waited for; None: the database of the first model in the event."""

    now: bool = False


# Nobody would await them, and a coroutine passes for a yes.
_HOOKS: Final = (
    "broadcast_on", "broadcast_as", "broadcast_with", "to_broadcast", "broadcast_queue",
    "broadcast_when", "broadcast_failed", "unique_id", "coalesce_key", "middleware",
)  # fmt: skip


def options_of(cls: type) -> EventOptions:
    """Return the options that the ``Meta`` classes of ``cls`` and its bases add up to.

    Raises TypeError for an unknown option, with the one that was probably meant, for a value
    of the wrong kind, and for a hook that is async.
    """
    for hook in _HOOKS:
        # Inherited ones too: a mixin is no event, and so nobody looked at it.
        if iscoroutinefunction(getattr(cls, hook, None)):
            raise TypeError(f"{cls.__name__}.{hook}() may not be async; ask before the dispatch")
    values: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        meta = parent.__dict__.get("Meta")
        if isinstance(meta, type):
            values |= _options(parent, meta)
    options = EventOptions(**values)
    if problem := _conflict(options):
        raise TypeError(f"{cls.__name__}.Meta: {problem}")
    return options


def is_paced(options: EventOptions) -> bool:
    """Whether events of this kind wait for each other, and the last one leaves."""
    return bool(options.debounce or options.throttle)


def _conflict(options: EventOptions) -> str | None:
    if options.debounce and options.throttle:
        return "debounce and throttle cannot be combined"
    if is_paced(options) and (options.unique or options.delay):
        return "debounce and throttle cannot be combined with unique or delay"
    if options.now and options.delay:
        return "now does not wait, so delay cannot be kept"
    return None


def said_in_call(name: str, value: Any) -> Any:
    """Return ``value`` of the modifier ``name``, an option too. Raises TypeError."""
    parse, expected = _PARSERS[name]
    try:
        return parse(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}() takes {expected}, not {value!r}") from None


def _options(cls: type, meta: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parent in reversed(meta.__mro__[:-1]):
        found |= {n: v for n, v in vars(parent).items() if not n.startswith("_")}
    return {name: _parsed(f"{cls.__name__}.Meta", name, value) for name, value in found.items()}


def event_options(place: str, values: Mapping[str, Any], also: Collection[str]) -> EventOptions:
    """Return the options in ``values``, which stand at ``place`` among others. Raises TypeError.

    ``also``: what else may stand there, for whoever mistyped it.
    """
    options = EventOptions(**{name: _parsed(place, name, v, also) for name, v in values.items()})
    if problem := _conflict(options):
        raise TypeError(f"{place}: {problem}")
    return options


def _parsed(place: str, name: str, value: Any, also: Collection[str] = ()) -> Any:
    where = f"{place}.{name}"
    if name not in _PARSERS:
        known = [*_PARSERS, *also]
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise TypeError(f"{where}: unknown option, {hint}")
    parse, expected = _PARSERS[name]
    try:
        return parse(value)
    except (TypeError, ValueError):
        raise TypeError(f"{where}: must be {expected}, not {value!r}") from None


def _fields(value: Any) -> Fields:
    if not isinstance(value, Mapping):
        raise TypeError
    return MappingProxyType({name: _names(names) for name, names in value.items()})


def _serializers(value: Any) -> Serializers:
    given = value if isinstance(value, Mapping) else {"": value}
    if not all(isinstance(name, str) for name in given):
        raise TypeError
    return MappingProxyType({name: _serializer(one) for name, one in given.items()})


def _serializer(value: Any) -> Callable[..., Any]:
    # By its path: that of a model is made after the model, which reads its options at once.
    if isinstance(value, str) and "." in value:
        return lambda *args, **kwargs: import_string(value)(*args, **kwargs)
    if not callable(value):
        raise TypeError
    made: Callable[..., Any] = value
    return made


def _names(value: Any) -> tuple[str, ...]:
    # Text is a sequence of text, never meant as one here.
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return tuple(value)


def _aliases(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else _names(value)


def _seconds(value: Any) -> float:
    if not is_seconds(value):
        raise TypeError
    return value


def _seconds_or_none(value: Any) -> float | None:
    return None if value is None else _seconds(value)


def _above_zero(value: Any) -> float:
    if not is_some_seconds(value):
        raise ValueError
    return value


def _one_of(*words: object) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not any(value is word or (value == word and isinstance(word, str)) for word in words):
            raise ValueError
        return value

    return parse


def _waits(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return (_seconds(value),)
    if not value:
        raise TypeError
    return tuple(_seconds(item) for item in value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError
    return value


def _of(*kinds: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return parse


_text = (_of(str, type(None)), "text")
_switch = (_of(bool), "True or False")

_PARSERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "fields": (_fields, "a dict of names to lists of attribute names"),
    "serializer": (
        _serializers,
        "a serializer class or the path of one, or a dict of names to such",
    ),
    "name": _text,
    "broadcasters": (_aliases, "an alias of BROADCASTERS or a list of them (via() takes others)"),
    "queue": _text,
    "tries": (_count, "a whole number above 0"),
    "backoff": (_waits, "seconds, or a list of seconds"),
    "expires": (_above_zero, "seconds above 0"),
    "delay": (_seconds, "a number of seconds"),
    "timeout": (_seconds_or_none, "a number of seconds, or None"),
    "render": (_one_of("commit", "worker"), '"commit" or "worker"'),
    "missing": (_one_of("skip", "fail"), '"skip" or "fail"'),
    "unique": (_one_of(True, False, "until_processing"), 'True, False or "until_processing"'),
    "unique_for": (_above_zero, "seconds above 0"),
    "unique_cache": (_of(str), "an alias of CACHES"),
    "debounce": (_seconds, "a number of seconds"),
    "max_wait": (_seconds_or_none, "a number of seconds, or None"),
    "throttle": (_seconds, "a number of seconds"),
    "after_commit": _switch,
    "rescue": (_of(bool, type(None)), "True, False or None"),
    "to_others": _switch,
    "using": _text,
    "now": _switch,
}

OPTION_NAMES: Final = frozenset(_PARSERS)
"""What ``class Meta`` may say."""
