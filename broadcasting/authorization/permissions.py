"""Django's permissions as the condition of a rule: may this user do that, and to this row?

Backends that know of rows are asked about the row alone. That a user may "in general" is
another question to them, whose yes must not open every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

from django.apps import apps
from django.contrib.auth import get_backends
from django.db.models import Model

from broadcasting.authorization.finders import finders
from broadcasting.authorization.guards import settle
from broadcasting.authorization.outcomes import Refused

_ANSWERS = (
    "has_perm",
    "ahas_perm",
    "get_all_permissions",
    "aget_all_permissions",
    "get_user_permissions",
    "aget_user_permissions",
    "get_group_permissions",
    "aget_group_permissions",
    "_get_permissions",
    "_aget_permissions",
)


class PermissionRule:
    """The rule of those who write none: the permissions alone decide.

    ``rows``: the models that its placeholders stand for, by name.
    """

    def __init__(self, permissions: Sequence[str], rows: Mapping[str, type[Model]]) -> None:
        self.name = f"the permission {' and '.join(map(str, permissions))}"
        self._rows = rows
        by_name = Parameter("values", Parameter.VAR_KEYWORD)
        named = [Parameter(n, Parameter.KEYWORD_ONLY, annotation=m) for n, m in rows.items()]
        self.__signature__ = Signature([*named, by_name])

    def __call__(self, **values: Any) -> bool:
        return True

    def problems(self, placeholders: Iterable[str]) -> list[str]:
        """Return a sentence for each placeholder that would let anything through."""
        return [
            f"nothing says what {{{name}}} stands for; bind() it, or write a rule that does"
            for name in placeholders
            if name not in self._rows and finders.get(name) is None
        ]


def permission_names(perm: str | Iterable[str] | None) -> Sequence[str]:
    """Return one permission or several as a sequence."""
    if perm is None:
        return ()
    return (perm,) if isinstance(perm, str) else (*perm,)


def permission_problems(permissions: Iterable[str]) -> list[str]:
    """Return what is wrong with the names of ``permissions``."""
    return [
        f"{perm!r} is no permission; one is written 'app_label.codename'"
        for perm in permissions
        if not all(str(perm).partition("."))
    ]


def require(
    permissions: Iterable[str], user: Any, values: Iterable[Any], *, is_async: bool
) -> None:
    """Raise Refused unless ``user`` has all of ``permissions``.

    ``values``: of the placeholders, in their order; those that are rows are what the
    permissions are about. ``is_async``: whether the rule is, so that its user is asked in
    that colour.
    """
    rows = [value for value in values if isinstance(value, Model)]
    for perm in permissions:
        row = _meant(perm, rows)
        if not _has(user, perm, row, is_async):
            about = "" if row is None else f" for {row._meta.label} {row.pk}"
            raise Refused(f"the user lacks the permission {perm!r}{about}")


def _meant(perm: str, rows: Sequence[Model]) -> Model | None:
    """Return the row that ``perm`` is about: the last of its model, else the last of all."""
    app_label, _, codename = perm.partition(".")
    for row in reversed(rows):
        name = row._meta.model_name
        if row._meta.app_label == app_label and codename.endswith(f"_{name}"):
            return row
    return rows[-1] if rows else None


def _has(user: Any, perm: str, row: Model | None, is_async: bool) -> bool:
    names = ("ahas_perm", "has_perm") if is_async else ("has_perm", "ahas_perm")
    ask = next((ask for name in names if (ask := getattr(user, name, None)) is not None), None)
    if ask is None:
        return False  # a device, or whatever else a guard found
    if row is None:
        return settle(ask(perm)) is True
    if settle(ask(perm, row)) is True:
        return True
    return _only_in_general(user) and settle(ask(perm)) is True


def _only_in_general(user: Any) -> bool:
    """Whether nobody but Django answers, whose own backend denies any row it is asked about."""
    if not apps.is_installed("django.contrib.auth"):
        return False
    # Its models must not be imported before the apps are ready.
    from django.contrib.auth.backends import BaseBackend, ModelBackend
    from django.contrib.auth.models import AnonymousUser, PermissionsMixin

    asked = user.__class__  # of the user behind a lazy object
    return any(
        _same(asked, base, _ANSWERS[:2]) for base in (PermissionsMixin, AnonymousUser)
    ) and all(
        any(_same(type(backend), base, _ANSWERS) for base in (BaseBackend, ModelBackend))
        for backend in get_backends()
        if hasattr(backend, "has_perm") or hasattr(backend, "ahas_perm")
    )


def _same(cls: type, base: type, names: Iterable[str]) -> bool:
    return all(getattr(cls, name, None) is getattr(base, name, None) for name in names)
