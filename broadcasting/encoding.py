"""Payloads into JSON, once, with the place of whatever may not or cannot be sent.

Nothing leaves undeclared: a bare model is refused, since Django has no notion of hidden
fields. Knows nothing of events, channels or transports.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import io
import math
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeAlias, Union

from django.db.models import Model
from django.db.models.query import QuerySet, ValuesIterable
from django.utils import timezone
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise, SimpleLazyObject

from broadcasting.exceptions import PayloadError
from broadcasting.protocol import messages
from broadcasting.shown import public_values, unwrapped

MAX_DEPTH: Final = 100
"""Levels of nesting. Nothing sane is deeper, and a cycle must not cost a stack."""

Fields: TypeAlias = Mapping[str, Sequence[str]]
"""Top-level name of a payload -> the attributes that may leave, in order."""

Serializers: TypeAlias = Mapping[str, Callable[..., Any]]
"""Top-level name of a payload -> a serializer class of Django REST framework, or one alike.

``""`` stands for whatever rows there are.
"""

# The way down to a value: (the way to its parent, its name or index).
Path: TypeAlias = Union[tuple["Path", str | int], None]  # noqa: UP007

_MISSING = object()


def encode(
    payload: Any, fields: Fields | None = None, serializers: Serializers | None = None
) -> str:
    """Return ``payload`` as compact JSON text.

    ``payload`` is usually a mapping, dataclass, pydantic model or msgspec Struct. ``fields``
    names what of each top-level value may leave, ``serializers`` what shows it. Decimal, UUID
    and lazy text become strings, dates and times ISO 8601 (a naive datetime is in the current
    time zone), enums their values, sets and generators and querysets lists. Raises
    PayloadError with the path of what cannot be sent.
    """
    try:
        return messages.encode(as_data(payload, fields, serializers))
    except RecursionError:
        raise PayloadError("payload", "nested too deeply") from None
    except ValueError as error:  # an integer of more digits than Python writes out
        raise PayloadError("payload", str(error)) from error


def as_data(
    payload: Any, fields: Fields | None = None, serializers: Serializers | None = None
) -> Any:
    """Return ``payload`` as plain JSON data, which encode() makes text of. Raises PayloadError."""
    return _Conversion(fields or {}, serializers or {}).top(payload)


class _Conversion:
    """One payload on its way to plain JSON data."""

    def __init__(self, fields: Fields, serializers: Serializers) -> None:
        self._fields = fields
        self._serializers = serializers
        # Ids of the containers that are being converted: meeting one again is a cycle.
        self._open: set[int] = set()

    def top(self, payload: Any) -> Any:
        payload = _unserialized(payload)
        values = public_values(payload)
        if values is None:
            return self.value(payload, None, None)
        self._open.add(id(payload))
        return {
            name: self.value(self._shown(name, item), (None, name), self._fields.get(name))
            for name, item in self._named(values, None)
        }

    def _shown(self, name: str, value: Any) -> Any:
        """Return what a serializer makes of a top-level value, if there is one for it."""
        if not self._serializers:
            return value
        serializer = self._serializers.get(name)
        if serializer is None and name not in self._fields and _holds_rows(value):
            serializer = self._serializers.get("")
        if serializer is None or value is None:
            return value
        many = _is_list(value)
        return serializer(list(value) if many else value, many=many).data

    def value(self, value: Any, path: Path, declared: Sequence[str] | None) -> Any:
        """Return ``value`` as JSON data; of models show the ``declared`` attributes only."""
        if type(value) is SimpleLazyObject:
            # It passes for text or a number, which json does not fall for.
            value = value.__reduce__()[1][0]
        # Enums first: some of them are also text or numbers.
        if isinstance(value, enum.Enum):
            return self.value(value.value, path, None)
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else _refuse(path, f"{value} is not JSON")
        for kind, convert in _SCALARS:
            if isinstance(value, kind):
                return convert(value)
        return self._container(value, path, declared)

    def _container(self, value: Any, path: Path, declared: Sequence[str] | None) -> Any:
        value = _unserialized(value)
        if id(value) in self._open:
            _refuse(path, "refers back to itself")
        if len(self._open) >= MAX_DEPTH:
            _refuse(path, f"nested deeper than {MAX_DEPTH} levels")
        self._open.add(id(value))
        try:
            if isinstance(value, QuerySet) and _shows_all_columns(value, declared):
                _refuse(path, "values() of every column; name the columns that may leave")
            if _is_list(value):
                return [
                    self.value(item, (path, index), declared) for index, item in enumerate(value)
                ]
            if declared is not None:
                return self._declared(value, path, declared)
            values = public_values(value)
            if values is None:
                _refuse(path, _why_not(value, path))
            return {
                name: self.value(item, (path, name), None)
                for name, item in self._named(values, path)
            }
        finally:
            self._open.discard(id(value))

    def _declared(self, value: Any, path: Path, names: Sequence[str]) -> dict[str, Any]:
        shown = {}
        for name in names:
            where = (path, name)
            item = value.get(name, _MISSING) if isinstance(value, Mapping) else _get(value, name)
            if item is _MISSING:
                close = get_close_matches(name, _attributes(value), 1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                _refuse(where, f"{type(value).__name__} has no such attribute{hint}")
            shown[name] = self.value(item, where, None)
        return shown

    def _named(self, values: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
        seen = set()
        for key, item in values.items():
            name = _key(key, path)
            if name in seen:
                _refuse((path, name), "two keys become this one name")
            seen.add(name)
            yield name, item


def _unserialized(value: Any) -> Any:
    """Return what a serializer of Django REST framework, or a RootModel of pydantic, holds.

    Anything else as it is.
    """
    # If it is one, its module is there.
    module = sys.modules.get("rest_framework.serializers")
    if module and isinstance(value, module.BaseSerializer):
        return value.data
    return unwrapped(value)


def _holds_rows(value: Any) -> bool:
    if isinstance(value, Model | QuerySet):
        return True
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Model)


def _key(key: Any, path: Path) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return key
    if isinstance(key, int | uuid.UUID | Promise) and not isinstance(key, bool):
        return str(key)
    _refuse(path, f"a key must be text or a whole number, not {type(key).__name__}")


def _get(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        # A property that fails inside must show its own error, not ours.
        if hasattr(type(value), name):
            raise
        return _MISSING


def _attributes(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    if isinstance(value, Model):
        return [field.attname for field in value._meta.concrete_fields]
    return [name for name in dir(value) if not name.startswith("_")]


def _is_list(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray | memoryview | io.IOBase | Mapping):
        return False
    return isinstance(value, Sequence | Set | Iterator | QuerySet)


def _shows_all_columns(rows: QuerySet[Any], declared: Sequence[str] | None) -> bool:
    # Of values() that is () if no names were given; what is declared is taken out of its dicts.
    are_dicts = rows._iterable_class is ValuesIterable
    return rows._fields == () and not (declared and are_dicts)  # type: ignore[attr-defined]


def _why_not(value: Any, path: Path) -> str:
    if isinstance(value, Model):
        while path is not None and isinstance(path[1], int):
            path = path[0]
        if path is not None and path[0] is None:
            return "declare Meta.fields, a serializer or broadcast_with()"
        return (
            f"a bare {type(value).__name__}; name the attributes that may leave"
            " (as customer_id for a related row) or use broadcast_with()"
        )
    if isinstance(value, bytes | bytearray | memoryview):
        return "bytes are not JSON; send text, as base64"
    if callable(value):
        return f"a {type(value).__name__} cannot be sent; call it in broadcast_with()"
    return f"a {type(value).__name__} cannot be sent"


def _refuse(path: Path, problem: str) -> NoReturn:
    raise PayloadError(_text(path), problem)


def _text(path: Path) -> str:
    text = ""
    while path is not None:
        path, step = path
        text = f"[{step}]{text}" if isinstance(step, int) else f".{step}{text}"
    return text.removeprefix(".") or "payload"


def _datetime(value: datetime.datetime) -> str:
    return (timezone.make_aware(value) if timezone.is_naive(value) else value).isoformat()


_SCALARS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (datetime.datetime, _datetime),  # before date, which it is too
    (datetime.date, datetime.date.isoformat),
    (datetime.time, datetime.time.isoformat),
    (datetime.timedelta, duration_iso_string),
    (decimal.Decimal, str),
    (uuid.UUID, str),
    (Promise, str),
)
