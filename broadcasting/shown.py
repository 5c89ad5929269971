"""What an object with declared attributes shows of itself, and what it hides.

Dataclasses, msgspec Structs, and pydantic models, which are known by their methods so that
nobody has to install pydantic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from broadcasting.exceptions import PayloadError

_Hidden: TypeAlias = Any
"""As ``exclude`` of pydantic: True for all of a value, or a dict of its parts."""


def public_values(value: Any) -> Mapping[Any, Any] | None:
    """Return what an object with declared attributes shows, or None if it declares none.

    Names with a leading underscore stay, and so do dataclass fields with
    ``metadata={"broadcast": False}`` and what pydantic excludes. Raises PayloadError for a
    pydantic model that cannot be told what to leave out.
    """
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        cls: Any = type(value)
        return {name: getattr(value, name) for name, shown in _fields(cls) if shown}
    if isinstance(value, msgspec.Struct):
        return _struct_values(value)
    if is_pydantic(type(value)):
        values = _dumped(value)
        return values if isinstance(values, Mapping) else None
    return None


def is_shown(field: dataclasses.Field[Any]) -> bool:
    """Whether a dataclass field may leave: unless ``metadata={"broadcast": False}``."""
    return bool(field.metadata.get("broadcast", True))


def is_pydantic(cls: type) -> bool:
    """Whether ``cls`` is a model of pydantic."""
    return callable(getattr(cls, "model_dump", None))


def unwrapped(value: Any) -> Any:
    """Return the value that a RootModel of pydantic stands for; anything else as it is."""
    return _dumped(value) if _is_root(value) else value


@lru_cache(maxsize=1000)
def _fields(cls: Any) -> tuple[tuple[str, bool], ...]:
    """Return the names of a dataclass's fields, and whether each may leave."""
    # Those of a dataclass that pydantic made.
    excluded = getattr(cls, "__pydantic_fields__", {})
    found = []
    for field in dataclasses.fields(cls):
        hides = getattr(excluded.get(field.name), "exclude", None)
        is_so = not field.name.startswith("_") and is_shown(field) and not hides
        found.append((field.name, is_so))
    return tuple(found)


def _struct_values(value: msgspec.Struct) -> Mapping[str, Any]:
    config = value.__struct_config__
    names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    shown: dict[str, Any] = {}
    if config.tag is not None and config.tag_field is not None:
        shown[config.tag_field] = config.tag
    for attribute, name in names:
        item = getattr(value, attribute)
        if not attribute.startswith("_") and item is not msgspec.UNSET:
            shown[name] = item
    return shown


def _is_root(value: Any) -> bool:
    return getattr(type(value), "__pydantic_root_model__", False) is True


def _dumped(model: Any) -> Any:
    """Return what pydantic makes of ``model``, without what dataclasses inside it hide.

    It would write them out whole.
    """
    dump, held = type(model).model_dump, getattr(model, "__dict__", {})
    if _is_root(model):
        hidden = _hidden_in(model)
        return dump(model, exclude=hidden) if hidden else dump(model)
    # We go through these ourselves, as they can be gone through only once.
    passing = {name: item for name, item in held.items() if isinstance(item, Iterator)}
    hidden = _hidden_of({name: item for name, item in held.items() if name not in passing})
    values = dump(model, exclude=hidden) if hidden else dump(model)
    if isinstance(values, Mapping):
        return {name: passing.get(name, item) for name, item in values.items()}
    return values


def _hidden_in(value: Any) -> _Hidden:
    if isinstance(value, Iterator):
        raise PayloadError(
            "payload", f"a {type(value).__name__} inside a pydantic model; make it a list"
        )
    if isinstance(value, dict):
        return _hidden_of(value)
    if isinstance(value, list | tuple):
        return _hidden_of(dict(enumerate(value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dict(_fields(type(value)))
        shown = {name: getattr(value, name) for name, is_so in fields.items() if is_so}
        return {n: True for n, is_so in fields.items() if not is_so} | _hidden_of(shown)
    if is_pydantic(type(value)):
        return _hidden_in(value.root) if _is_root(value) else _hidden_of(vars(value))
    return {}


def _hidden_of(parts: Mapping[Any, Any]) -> dict[Any, _Hidden]:
    hidden = ((name, _hidden_in(part)) for name, part in parts.items())
    return {name: what for name, what in hidden if what}
