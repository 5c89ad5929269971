"""What rows remember of the database, to tell what a save changed.

Values are copies, so that what is changed in place counts; files are their names.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.core.files import File
from django.db import connections, transaction
from django.db.models import Field, Model

from broadcasting.broadcastable.options import Changes

UNKNOWN: Final = object()
"""In place of a value that only the database knows."""


class Written:
    """A save, and whether it is still there: its transaction may have been rolled back.

    Django forgets the callbacks of what it rolls back, which nobody else holds.
    """

    def __init__(self, using: str | None, is_committed: bool = False) -> None:
        self._is_committed = is_committed
        self._waiting: weakref.ref[_Committed] | None = None
        if using is not None and connections[using].in_atomic_block:
            waiting = _Committed(self)
            self._waiting = weakref.ref(waiting)
            transaction.on_commit(waiting, using=using)
        elif using is not None:
            self._is_committed = True

    def is_there(self) -> bool:
        """Whether the database holds it, as seen from the transaction that wrote it."""
        return self._is_committed or (self._waiting is not None and self._waiting() is not None)

    def commit(self) -> None:
        """Note that nothing can take it back."""
        self._is_committed = True

    def __deepcopy__(self, memo: object) -> Written:
        return self

    def __reduce__(self) -> Any:
        return Written, (None, self._is_committed)


class _Committed:
    """What Django calls when the save is committed."""

    def __init__(self, written: Written) -> None:
        self._written = written

    def __call__(self) -> None:
        self._written.commit()


def remembered(
    row: Model, before: dict[str, Any] | None, only: Iterable[str] | None
) -> dict[str, Any]:
    """Return what the database holds now, by attribute.

    ``before``: what was remembered. ``only``: the names of the fields that were read or written;
    None: all. What the database works out itself (``F("count") + 1``) is forgotten.
    """
    known = {} if only is None or before is None else {**before}
    for field in _fields(row, only):
        known.pop(field.attname, None)
        value = vars(row).get(field.attname, UNKNOWN)
        if value is not UNKNOWN and not is_worked_out(value):
            known[field.attname] = _copied(value)
    return known


def changes_of(row: Model, before: dict[str, Any], only: Iterable[str] | None) -> Changes:
    """Return the fields that a save changed, UNKNOWN where nobody knows the old or new value.

    ``only``: the names of the fields that were saved; None: all.
    """
    changes = {}
    for field in _fields(row, only):
        if field.attname not in vars(row):  # deferred, and so not saved
            continue
        old, new = before.get(field.attname, UNKNOWN), vars(row)[field.attname]
        if is_worked_out(new):
            changes[field.attname] = (old, UNKNOWN)
        elif old is UNKNOWN or _plain(new) != old:
            changes[field.attname] = (old, new)
    return changes


def with_what_is_known(row: Any) -> Any:
    """Return ``row``, or a copy that fetches what the database worked out when it is asked."""
    unknown = [f.attname for f in _fields(row, None) if is_worked_out(vars(row).get(f.attname))]
    if not unknown:
        return row
    copied = copy.copy(row)
    for name in unknown:
        del vars(copied)[name]
    return copied


def is_worked_out(value: Any) -> bool:
    """Whether ``value`` is an expression, of which the database makes the value."""
    return hasattr(value, "resolve_expression")


def _fields(row: Model, only: Iterable[str] | None) -> Iterator[Field[Any, Any]]:
    names = None if only is None else set(only)
    for field in row._meta.concrete_fields:
        if names is None or field.name in names or field.attname in names:
            yield field


def _plain(value: Any) -> Any:
    # A file of a row holds the row, and that what it remembers.
    return value.name if isinstance(value, File) else value


def _copied(value: Any) -> Any:
    return copy.deepcopy(_plain(value))
