"""Events as JSON data that another process can make events of again: rows go as references.

For workers that render, and for listeners that wait in a queue. A row is its model and its
primary key, fetched anew where it is needed; everything else keeps its value and its type.
Only classes of the site itself are ever named, and only event classes are made.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from django.apps import apps
from django.db import router
from django.db.models import Model
from django.db.models.query import QuerySet
from django.utils.connection import ConnectionDoesNotExist
from django.utils.functional import Promise

from broadcasting.class_names import class_name, find_class, is_found
from broadcasting.events import ShouldBroadcast, is_cached
from broadcasting.exceptions import MissingModel, PayloadError
from broadcasting.shown import is_pydantic

MAX_DEPTH: Final = 100

# ArithmeticError is what Decimal raises.
_NOT_OURS: Final = (
    LookupError, TypeError, AttributeError, ValueError, ArithmeticError, ConnectionDoesNotExist,
)  # fmt: skip


def pack(event: ShouldBroadcast) -> dict[str, Any]:
    """Return ``event`` as JSON data. Raises PayloadError with the place of what cannot travel."""
    return {"class": class_name(type(event)), "attributes": _packed(_state(event), "event", 0)}


def unpack(data: Mapping[str, Any]) -> ShouldBroadcast:
    """Return the event that pack() made ``data`` of, its rows fetched from the database.

    Rows are looked for where they are written, whatever their default manager hides. Of a
    list of rows those that are gone are left out. Raises MissingModel for any other, and
    PayloadError for data that pack() did not make, or of a class that is no longer there.
    """
    try:
        cls = find_class(data["class"], ShouldBroadcast)
        values = {name: _unpacked(value) for name, value in data["attributes"].items()}
        event: ShouldBroadcast = _made(cls, values)
    except _NOT_OURS as error:
        if isinstance(error, PayloadError | MissingModel):
            raise
        raise PayloadError("event", f"cannot be made again: {error}") from error
    return event


# -- events ----------------------------------------------------------------------------------


def _state(event: ShouldBroadcast) -> dict[str, Any]:
    """Return all that an event holds, what is never shown too."""
    cls = type(event)
    if isinstance(event, msgspec.Struct):
        return {name: getattr(event, name) for name in event.__struct_fields__}
    slots = (name for parent in cls.__mro__ for name in _slots(parent))
    held = {name: getattr(event, name) for name in slots if hasattr(event, name)}
    kept = vars(event).items()
    return held | {k: v for k, v in kept if not k.startswith("__") and not is_cached(cls, k)}


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _made(cls: Any, values: dict[str, Any]) -> Any:
    if issubclass(cls, msgspec.Struct):
        return cls(**values)
    if _is_named(cls):
        # Not by its __new__, which may take something else; and some databases sort the keys.
        return cls._make(values[name] for name in cls._fields)
    if hasattr(cls, "model_construct"):
        return cls.model_construct(**values)
    # As copy and pickle do: what __init__ would work out is among the values already.
    event = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(event, name, value)
    return event


# -- values ----------------------------------------------------------------------------------


def _packed(value: Any, path: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise PayloadError(path, "nested too deeply")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Model):
        return _reference(value, path)
    if isinstance(value, QuerySet) or _is_rows(value):
        return _references(value, path)
    if isinstance(value, enum.Enum):
        return {"$enum": class_name(type(value)), "value": _packed(value.value, path, depth + 1)}
    for kind, (cls, write, _) in _SCALARS.items():
        if isinstance(value, cls):
            return {kind: write(value)}
    return _container(value, path, depth + 1)


def _container(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {k: _packed(v, f"{path}.{k}", depth) for k, v in value.items()}
        pairs = [
            [_packed(k, path, depth), _packed(v, f"{path}.{k}", depth)] for k, v in value.items()
        ]
        return {"$pairs": pairs}
    if _is_named(type(value)) and is_found(type(value)):
        return _object(value, value._asdict(), path, depth)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_packed(item, f"{path}[{n}]", depth) for n, item in enumerate(value)]
        kind = next(k for k, cls in _COLLECTIONS.items() if isinstance(value, cls))
        return items if kind == "$list" else {kind: items}
    values = _values(value)
    if values is not None:
        return _object(value, values, path, depth)
    raise PayloadError(
        path,
        f"a {type(value).__name__} cannot travel to another process; hand it on as text or"
        " numbers, or render when the event is handed on",
    )


def _object(value: Any, values: Any, path: str, depth: int) -> dict[str, Any]:
    return {"$object": class_name(type(value)), "values": _packed(values, path, depth)}


def _values(value: Any) -> Any:
    """Return the attributes of what declares them, else None."""
    if isinstance(value, ShouldBroadcast):  # a notification, on its way to one
        return _state(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return vars(value) if is_pydantic(type(value)) else None


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = next((key for key in value if key.startswith("$")), None)
    if kind is None:
        return {name: _unpacked(item) for name, item in value.items()}
    if kind in _SCALARS:
        _, _, read = _SCALARS[kind]
        return read(value[kind])
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](_unpacked(value[kind]))
    match kind:
        case "$model":
            return _row(value)
        case "$models":
            return list(_rows(value))
        case "$enum":
            return find_class(value[kind], enum.Enum)(_unpacked(value["value"]))
        case "$pairs":
            return {_hashable(_unpacked(k)): _unpacked(v) for k, v in value[kind]}
        case "$object":
            return _made(_declared(value[kind]), _unpacked(value["values"]))
    raise PayloadError("event", f"{kind!r} is no kind of value that this version knows")


def _declared(name: str) -> type:
    cls: type = find_class(name, object)
    is_declared = dataclasses.is_dataclass(cls) or hasattr(cls, "__struct_fields__")
    if not (is_declared or _is_named(cls) or is_pydantic(cls) or issubclass(cls, ShouldBroadcast)):
        raise PayloadError("event", f"{name!r} declares no attributes")
    return cls


def _is_named(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


# -- rows ------------------------------------------------------------------------------------


def _reference(row: Model, path: str) -> dict[str, Any]:
    if row.pk is None:
        raise PayloadError(
            path, f"a {type(row).__name__} that is not saved cannot be fetched again"
        )
    using = router.db_for_write(row._meta.model, instance=row)
    return {"$model": row._meta.label, "pk": _key(row, path), "db": using}


def _is_rows(value: Any) -> bool:
    if not (isinstance(value, list | tuple) and value and isinstance(value[0], Model)):
        return False
    model = value[0]._meta.model
    return all(
        isinstance(row, Model) and row._meta.model is model and row.pk is not None for row in value
    )


def _references(rows: Any, path: str) -> dict[str, Any]:
    rows_ = list(rows)
    model = rows.model if isinstance(rows, QuerySet) else rows_[0]._meta.model
    if not all(isinstance(row, Model) for row in rows_):  # values() or values_list()
        return _packed(rows_, path, 0)  # type: ignore[no-any-return]
    using = router.db_for_write(model, instance=rows_[0] if rows_ else None)
    return {
        "$models": model._meta.label,
        "pks": [_key(row, path) for row in rows_],
        "db": using,
    }


def _key(row: Model, path: str) -> Any:
    return _packed(row.pk, path, 0)


def _row(value: Mapping[str, Any]) -> Model:
    model = apps.get_model(value["$model"])
    pk = _unpacked(value["pk"])
    found: Model | None = model._base_manager.using(value["db"]).filter(pk=pk).first()
    if found is None:
        raise MissingModel(value["$model"], pk)
    return found


def _rows(value: Mapping[str, Any]) -> Iterator[Model]:
    model = apps.get_model(value["$models"])
    pks = [_unpacked(pk) for pk in value["pks"]]
    found = model._base_manager.using(value["db"]).in_bulk(pks)
    return (found[pk] for pk in pks if pk in found)


_Scalar = tuple[type, Callable[[Any], Any], Callable[[Any], Any]]

# datetime before date, which it is too.
_SCALARS: Final[dict[str, _Scalar]] = {
    "$datetime": (
        datetime.datetime,
        datetime.datetime.isoformat,
        datetime.datetime.fromisoformat,
    ),
    "$date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "$time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "$timedelta": (
        datetime.timedelta,
        lambda delta: [delta.days, delta.seconds, delta.microseconds],
        lambda parts: datetime.timedelta(*parts),
    ),
    "$decimal": (decimal.Decimal, str, decimal.Decimal),
    "$uuid": (uuid.UUID, str, uuid.UUID),
    "$text": (Promise, str, str),
    "$str": (str, str, str),
}
_COLLECTIONS: Final[dict[str, type]] = {
    "$list": list,
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
}
