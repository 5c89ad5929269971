"""What ``class BroadcastMeta`` of a model may say, read when the model is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from broadcasting.dispatching.options import EventOptions, event_options

ACTIONS = ("created", "updated", "deleted", "trashed", "restored")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The options of one model."""

    fields: tuple[str, ...] = ()
    """What of a row may leave."""

    actions: tuple[str, ...] = ACTIONS
    """What is broadcast by itself."""

    only_if_changed: bool = False
    """Whether a save that changed nothing is silent."""

    include_changes: bool = False
    """Whether an update tells the old and the new value of each declared field that changed."""

    soft_deletes: str | None = None
    """A field that is set while a row is deleted softly; None: the model has no such thing."""

    event: EventOptions = field(default_factory=EventOptions)

    @property
    def remembers(self) -> bool:
        """Whether rows must know what was loaded."""
        return self.only_if_changed or self.include_changes or self.soft_deletes is not None


_OWN = {
    "fields": ((list, tuple), "a list of attribute names"),
    "events": ((list, tuple, set, frozenset), f"some of {', '.join(ACTIONS)}"),
    "only_if_changed": (bool, "True or False"),
    "include_changes": (bool, "True or False"),
    "soft_deletes": ((str, type(None)), "the name of a field"),
}
# What makes no sense for rows, whose event says it itself.
_NOT_FOR_MODELS = frozenset({"name", "using"})


def model_options(model: type) -> ModelOptions:
    """Return what the ``BroadcastMeta`` classes of ``model`` and its bases add up to.

    Raises TypeError for an unknown option and for a value of the wrong kind.
    """
    values: dict[str, Any] = {}
    for parent in reversed(model.__mro__):
        meta = parent.__dict__.get("BroadcastMeta")
        if isinstance(meta, type):
            for base in reversed(meta.__mro__[:-1]):
                values |= {n: v for n, v in vars(base).items() if not n.startswith("_")}
    own = {name: _checked(model, name, values.pop(name)) for name in _OWN if name in values}
    fields = tuple(own.get("fields", ()))
    if misplaced := values.keys() & _NOT_FOR_MODELS:
        raise TypeError(f"{model.__name__}.BroadcastMeta.{min(misplaced)}: not for models")
    if isinstance(values.get("serializer"), Mapping):
        raise TypeError(f"{model.__name__}.BroadcastMeta.serializer: must be a class, of the row")
    if fields:
        values["fields"] = MappingProxyType({"model": fields})
    return ModelOptions(
        fields=fields,
        actions=tuple(own.get("events", ACTIONS)),
        only_if_changed=own.get("only_if_changed", False),
        include_changes=own.get("include_changes", False),
        soft_deletes=own["soft_deletes"] if "soft_deletes" in own else _known_mark(model),
        event=event_options(f"{model.__name__}.BroadcastMeta", values, also=tuple(_OWN)),
    )


def _known_mark(model: type) -> str | None:
    """Return the field that django-safedelete sets, if the model is one of its own."""
    # If it is one, its modules are there.
    config = sys.modules.get("safedelete.config")
    if config is None or not hasattr(model, "_safedelete_policy"):
        return None
    mark: str = config.FIELD_NAME
    return mark


def _checked(model: type, name: str, value: Any) -> Any:
    kinds, expected = _OWN[name]
    is_right = isinstance(value, kinds)  # type: ignore[arg-type]
    if name == "fields":
        is_right = is_right and all(isinstance(one, str) for one in value)
    if name == "events":
        is_right = is_right and set(value) <= set(ACTIONS)
    if not is_right:
        raise TypeError(f"{model.__name__}.BroadcastMeta.{name}: must be {expected}, not {value!r}")
    return value


Changes = Mapping[str, tuple[Any, Any]]
"""Attribute to its old and new value."""
