"""The rows that an event holds: whose transaction it waits for, and what deleting them leaves.

Looks into lists and dicts, never into the rows themselves. Opens no connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any, Final, TypeAlias, Union
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Model
from django.db.models.query import QuerySet

MAX_DEPTH: Final = 4
"""Levels of lists and dicts. Deeper ones hold data, not what an event is about."""

MAX_LOOKED_AT: Final = 1_000
"""Values that are looked at. An event has its rows in front, or is no event but a report."""

_PLAIN: Final = (str, int, float, NoneType, date, Decimal, UUID)
"""What holds no rows: no need to look any closer."""

Keys: TypeAlias = Sequence[tuple[Model, Any]]
"""Rows with the primary keys that they had."""

_Rows: TypeAlias = Union[Model, "QuerySet[Any]"]


def database_of(values: Iterable[Any]) -> str:
    """Return the alias of the database that the first saved row among ``values`` is written to.

    Not the one it was read from: behind a replica the transaction is open elsewhere.
    """
    values = tuple(values)
    for value in values:
        if isinstance(value, Model):
            if value._state.db:
                return _written_to(value)
        elif not isinstance(value, _PLAIN):
            break
    else:
        return DEFAULT_DB_ALIAS
    for rows in _rows(values):
        if isinstance(rows, QuerySet):
            # What select_for_update() will be asked on: using(), else where rows are written.
            return rows.select_for_update().db
        if rows._state.db:
            return _written_to(rows)
    return DEFAULT_DB_ALIAS


def _written_to(row: Model) -> str:
    # Its own type may be that of a lazy object, as ``request.user`` is.
    return router.db_for_write(row._meta.model, instance=row)


def keys_of(values: Iterable[Any]) -> Keys:
    """Return the saved rows among ``values`` with their primary keys of this moment."""
    return [(row, row.pk) for row in _rows(values) if isinstance(row, Model) and _has_key(row)]


def has_unsaved(values: Iterable[Any]) -> bool:
    """Whether one of the rows has no key: not saved yet, or deleted."""
    return any(isinstance(row, Model) and not _has_key(row) for row in _rows(values))


@contextmanager
def as_they_were(keys: Keys) -> Iterator[bool]:
    """Give rows that were deleted meanwhile their primary keys back; yield whether any was.

    Django takes the key from an instance that it deletes, and with it the name of its channel.
    """
    deleted = [(row, pk) for row, pk in keys if not _has_key(row)]
    for row, pk in deleted:
        row.pk = pk
    try:
        yield bool(deleted)
    finally:
        for row, pk in deleted:
            if row.pk == pk:  # unless it was saved anew meanwhile
                row.pk = None


def _rows(values: Iterable[Any]) -> Iterator[_Rows]:
    """Yield rows and querysets level by level, each once."""
    seen: set[int] = set()
    level: Iterable[Any] = values
    for _ in range(MAX_DEPTH + 1):
        below: list[Iterable[Any]] = []
        for value in level:
            if id(value) in seen:
                continue
            if len(seen) >= MAX_LOOKED_AT:
                return
            seen.add(id(value))
            if isinstance(value, Model | QuerySet):
                yield value
            elif isinstance(value, dict):
                below.append(value.values())
            # Python's own only: others may be lazy, and nobody asked for what they would do.
            elif isinstance(value, list | tuple | set | frozenset):
                below.append(value)
        level = chain.from_iterable(below)


def _has_key(row: Model) -> bool:
    key = row.pk
    return key is not None and not (isinstance(key, tuple) and None in key)
