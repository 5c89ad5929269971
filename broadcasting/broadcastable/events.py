"""The event of a row: an ordinary one, which can be faked, muted, queued and listened to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from broadcasting.broadcastable.memory import with_what_is_known
from broadcasting.broadcastable.options import Changes
from broadcasting.channels import Channel, Targets, TargetsByBroadcaster, as_channels
from broadcasting.encoding import as_data
from broadcasting.events import ShouldBroadcast
from broadcasting.exceptions import PayloadError

if TYPE_CHECKING:
    from broadcasting.broadcastable.model import BroadcastsEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is to be known of a row that will be gone."""

    channels: tuple[Channel, ...] | dict[str, tuple[Channel, ...]]
    name: str | Enum
    payload: Any


class ModelBroadcast(ShouldBroadcast):
    """Something happened to a row. Each model has a subclass of its own, ``Post.BroadcastEvent``.

    ``action`` is ``created``, ``updated``, ``deleted``, ``trashed``, ``restored``, or what was
    given to ``broadcast_event()``.
    """

    instance: Any
    action: str
    _on: Any = None
    _changes: Any = None
    _snapshot: Any = None

    def broadcast_on(self) -> Targets | TargetsByBroadcaster:
        if self._on is not None:
            given: Targets = self._on
            return given
        if self._snapshot is not None:
            kept: Targets = self._snapshot.channels
            return kept
        return self._row.broadcast_on(self.action)

    def broadcast_as(self) -> str | Enum:
        if self._snapshot is not None:
            name: str | Enum = self._snapshot.name
            return name
        return self._row.broadcast_as(self.action) or default_name(type(self.instance), self.action)

    def broadcast_with(self) -> Any:
        if self._snapshot is not None:
            return self._snapshot.payload
        payload = self._row.broadcast_with(self.action)
        return self._declared() if payload is None else payload

    @property
    def _row(self) -> BroadcastsEvents:
        # Only now: what is saved after this event, and before it leaves, may be an expression.
        row: BroadcastsEvents = with_what_is_known(self.instance)
        return row

    def unique_id(self) -> str:
        # Sites with a database for each customer have the same keys in all of them.
        return f"{self.action}:{self.instance._state.db}:{self.instance.pk}"

    def coalesce_key(self) -> str:
        return self.unique_id()

    def _declared(self) -> dict[str, Any]:
        options = type(self)._broadcasting
        fields = options.fields.get("model", ())
        if not fields and not options.serializer:
            name = type(self.instance).__name__
            raise PayloadError(
                "model", f"declare {name}.BroadcastMeta.fields, a serializer or broadcast_with()"
            )
        if self._changes is None:
            return {"model": self._row}
        changes: Changes = self._changes
        return {"model": self._row, "changes": {n: [*pair] for n, pair in changes.items()}}


def default_name(model: type, action: str) -> str:
    """Return what clients listen to: ``PostUpdated``, ``PostPriceChanged``."""
    return model.__name__ + "".join(part[:1].upper() + part[1:] for part in action.split("_"))


def snapshot_of(event: ModelBroadcast) -> Snapshot:
    """Ask everything about a row while it is here. Raises what the hooks raise, PayloadError."""
    options = type(event)._broadcasting
    return Snapshot(
        channels=channels_of(event.broadcast_on()),
        name=event.broadcast_as(),
        payload=as_data(event.broadcast_with(), options.fields, options.serializer),
    )


def channels_of(
    targets: Targets | TargetsByBroadcaster,
) -> tuple[Channel, ...] | dict[str, tuple[Channel, ...]]:
    """Return channels in place of whatever names them, while it can still be asked."""
    if isinstance(targets, Mapping):
        return {alias: as_channels(its_own) for alias, its_own in targets.items()}
    return as_channels(targets)
