"""From Django's signals to events. Connected to each model by itself.

A receiver for all models would cost every model its fast deletes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_delete

from broadcasting.broadcastable.events import ModelBroadcast, Snapshot, snapshot_of
from broadcasting.broadcastable.memory import UNKNOWN, with_what_is_known
from broadcasting.broadcastable.options import Changes
from broadcasting.dispatching import Dispatch
from broadcasting.dispatching.failures import report
from broadcasting.dispatching.muting import is_muted
from broadcasting.dispatching.outgoing import Outgoing
from broadcasting.listeners import has_listeners

_GOING: Final = "_broadcasting_going"
"""On what a delete began with: the rows that others of it extend."""

_connected: set[type[Model]] = set()
"""Kept alive: a signal knows a sender by its id, which another class could get after it."""


def connect(model: type[Model]) -> None:
    """Listen to what happens to rows of ``model`` itself."""
    _connected.add(model)
    post_save.connect(_saved, sender=model, dispatch_uid="broadcasting.saved")
    pre_delete.connect(_about_to_delete, sender=model, dispatch_uid="broadcasting.deleting")
    post_delete.connect(_deleted, sender=model, dispatch_uid="broadcasting.deleted")


def _saved(
    instance: Any,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Iterable[str] | None,
    **kwargs: object,
) -> None:
    if raw:  # a fixture: its rows were created long ago
        return
    options = instance._broadcastable
    changes = None if created else instance.changes_since_loaded(update_fields)
    instance.remember_loaded(update_fields, saved_to=using)
    if not created and options.only_if_changed and _is_nothing(instance, changes):
        return
    action = "created" if created else _kind_of_update(instance, changes)
    told = _told(instance, changes) if options.include_changes and action == "updated" else None
    _dispatch(instance, action, using, changes=told)


def _is_nothing(instance: Any, changes: Changes | None) -> bool:
    """Whether nothing changed but what every save sets (``auto_now``)."""
    if changes is None:
        return False
    by_itself = {f.attname for f in instance._meta.concrete_fields if getattr(f, "auto_now", False)}
    return changes.keys() <= by_itself


def _told(instance: Any, changes: Changes | None) -> Changes | None:
    """Return the changes that may leave: of declared fields, whose old value is known."""
    if changes is None:
        return None
    row = with_what_is_known(instance)
    return {
        name: (old, getattr(row, name))
        for name, (old, _) in changes.items()
        if name in row._broadcastable.fields and old is not UNKNOWN
    }


def _kind_of_update(instance: Any, changes: Changes | None) -> str:
    field = instance._broadcastable.soft_deletes
    if not changes or field is None or field not in changes:
        return "updated"
    before, after = changes[field]
    if UNKNOWN in (before, after) or bool(before) == bool(after):
        return "updated"
    return "trashed" if after else "restored"


def _about_to_delete(instance: Any, origin: Any = None, **kwargs: object) -> None:
    # Rows of the models that this one extends go with it, and say nothing of their own. They may
    # be other objects than the one of this row, but all are deleted for the same reason.
    links = instance._meta.parents.items()  # without one, it is only a proxy
    parents = {(m, getattr(instance, m._meta.pk.attname)) for m, link in links if link}
    if parents and origin is not None:
        vars(origin).setdefault(_GOING, set()).update(parents)
    if _speaks(instance, "deleted"):
        # Now, while its relations and its key are still there.
        instance._broadcasting_snapshot = _snapshot_or_none(instance)


def _snapshot_or_none(instance: Any) -> Snapshot | None:
    event: ModelBroadcast = instance.BroadcastEvent(instance, "deleted")
    try:
        return snapshot_of(event)
    except Exception as error:
        outgoing = Outgoing(event=event, options=type(event)._broadcasting)
        if not outgoing.rescue:
            raise
        report(error, outgoing.label, "asking about it before it goes")
        return None


def _deleted(instance: Any, using: str, origin: Any = None, **kwargs: object) -> None:
    snapshot: Snapshot | None = vars(instance).pop("_broadcasting_snapshot", None)
    goes_with_child = (instance._meta.concrete_model, instance.pk) in getattr(origin, _GOING, ())
    if snapshot is not None and not goes_with_child:
        _dispatch(instance, "deleted", using, snapshot=snapshot)


def _speaks(instance: Any, action: str) -> bool:
    model = type(instance)
    if action not in model._broadcastable.actions:
        return False
    is_quiet = is_muted() or model.is_broadcasting_muted()
    # Whoever listens in this program is not muted.
    return not is_quiet or has_listeners(model.BroadcastEvent)


def _dispatch(
    instance: Any,
    action: str,
    using: str,
    *,
    changes: Changes | None = None,
    snapshot: Snapshot | None = None,
) -> None:
    if action not in instance._broadcastable.actions:
        return
    event: ModelBroadcast = instance.BroadcastEvent(instance, action, None, changes, snapshot)
    quiet = type(instance).is_broadcasting_muted()
    gone = snapshot is not None
    dispatch = Dispatch(event, database=using, is_muted=quiet, says_itself=gone)
    instance.prepare_broadcast(dispatch, action).dispatch()
