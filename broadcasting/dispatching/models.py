"""The rows that an event holds: whose transaction it waits for, and what deleting them leaves.

Looks into lists and mappings, never into the rows themselves. Opens no connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, Union

from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Model
from django.db.models.query import QuerySet

MAX_DEPTH: Final = 4
"""Levels of lists and mappings. Deeper ones hold data, not what an event is about."""

Keys: TypeAlias = Sequence[tuple[Model, Any]]
"""Rows with the primary keys that they had."""

_Rows: TypeAlias = Union[Model, "QuerySet[Any]"]


def database_of(values: Iterable[Any]) -> str:
    """Return the alias of the database that the first saved row among ``values`` is written to.

    Not the one it was read from: behind a replica the transaction is open elsewhere.
    """
    for rows in _rows(values):
        if isinstance(rows, QuerySet):
            # What select_for_update() will be asked on: using(), else where rows are written.
            return rows.select_for_update().db
        if rows._state.db:
            return router.db_for_write(type(rows), instance=rows)
    return DEFAULT_DB_ALIAS


def keys_of(values: Iterable[Any]) -> Keys:
    """Return the saved rows among ``values`` with their primary keys of this moment."""
    return [(row, row.pk) for row in _rows(values) if isinstance(row, Model) and _has_key(row)]


@contextmanager
def as_they_were(keys: Keys) -> Iterator[None]:
    """Give rows that were deleted meanwhile their primary keys back for a while.

    Django takes the key from an instance that it deletes, and with it the name of its channel.
    """
    deleted = [(row, pk) for row, pk in keys if not _has_key(row)]
    for row, pk in deleted:
        row.pk = pk
    try:
        yield
    finally:
        for row, _ in deleted:
            row.pk = None


def _rows(values: Iterable[Any], depth: int = MAX_DEPTH) -> Iterator[_Rows]:
    for value in values:
        if isinstance(value, Model | QuerySet):
            yield value
        elif depth and isinstance(value, Mapping):
            yield from _rows(value.values(), depth - 1)
        elif depth and isinstance(value, list | tuple | Set):
            yield from _rows(value, depth - 1)


def _has_key(row: Model) -> bool:
    key = row.pk
    return key is not None and not (isinstance(key, tuple) and None in key)
