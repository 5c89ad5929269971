"""From a value in a channel name to the row that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as option
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

from broadcasting.authorization.outcomes import Refused

Rows = QuerySet[Any] | BaseManager[Any] | Callable[[], QuerySet[Any]]


class Unusable(Exception):
    """An annotation that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a row is found, in the annotation of a rule: ``Annotated[Order, Lookup("number")]``."""

    field: str = "pk"
    """What the value in the channel name is compared with."""

    # Any, since a manager in a class is a descriptor to type checkers.
    queryset: Any = option(default=None, repr=False, kw_only=True)
    """A queryset, manager or function that returns one: which rows there are. Left out, those of
    the default manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLookup:
    """Finds the row of one placeholder. Raises Refused if there is none."""

    name: str
    model: type[Model]
    field: str
    # Shown, a queryset would be fetched.
    rows: Rows | None = option(repr=False)

    def __call__(self, value: Any) -> Any:
        try:
            return self._queryset().get(**{self.field: value})
        except (ObjectDoesNotExist, ValueError, TypeError, OverflowError, ValidationError):
            raise Refused(f"no {self.model._meta.label} with {self.field}={str(value)!r}") from None

    def _queryset(self) -> QuerySet[Any]:
        if self.rows is None:
            return self.model._default_manager.all()
        if isinstance(self.rows, QuerySet | BaseManager):
            return self.rows.all()
        return self.rows()


def make_lookup(name: str, model: type[Model], field_name: str | None, lookup: Lookup) -> RowLookup:
    """Return how the placeholder ``name`` becomes a row of ``model``. Raises Unusable.

    ``field_name``: what the pattern says, which goes before ``lookup``.
    """
    if model._meta.abstract:
        raise Unusable(f"the model of {name!r} is abstract")
    found: str = field_name or lookup.field
    if found != "pk":
        try:
            model._meta.get_field(found)
        except FieldDoesNotExist:
            raise Unusable(f"{model._meta.label} has no field {found!r}") from None
    rows: Rows | None = lookup.queryset
    of: type[Model] = rows.model if isinstance(rows, QuerySet | BaseManager) else model
    if not issubclass(of, model):
        raise Unusable(f"the queryset of {name!r} has rows of {of._meta.label}")
    return RowLookup(name=name, model=model, field=found, rows=rows)
