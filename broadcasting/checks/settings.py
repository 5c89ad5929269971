"""Checks of what is written in ``BROADCASTING``. Knows nothing of what it is to work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from broadcasting import conf
from broadcasting.applications.settings import mistakes
from broadcasting.checks.secrets import useless_key, weak_key, weak_secret

NO_EFFECT = "accepted, but has no effect in this version"


@register("broadcasting")
def check_settings(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E005 and W017: keys and values of the dict."""
    return [*_problems(), *_unserved()]


@register("broadcasting")
def check_applications(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E006 and E007: the entries of APPLICATIONS."""
    entries = conf.get_settings().applications
    if entries is None or isinstance(entries, str):
        return []
    if not entries:
        return [
            Error(
                "BROADCASTING['APPLICATIONS'] is empty: nobody can connect.",
                hint="Leave it out for one application with a secret made from SECRET_KEY,"
                " or write one: {'id': ..., 'key': ..., 'secret': ...}.",
                id="broadcasting.E006",
            )
        ]
    return [*_mistakes(entries), *_duplicates(entries)]


@register("broadcasting")
def check_encryption(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """E016: a master key, and nothing to encrypt with."""
    entries = conf.get_settings().applications
    if entries is None or isinstance(entries, str):
        return []
    return [*_useless_keys(entries)]


@register("broadcasting", deploy=True)
def check_secrets(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W026: secrets that everybody knows or that can be guessed."""
    entries = conf.get_settings().applications
    if entries is None or isinstance(entries, str):
        return []
    return [*_weak_secrets(entries)]


def _problems() -> Iterator[CheckMessage]:
    for problem in conf.problems():
        yield Error(
            f"BROADCASTING{_place(problem.path)}: {problem.message}.",
            hint=problem.hint,
            id="broadcasting.E005",
        )


def _unserved() -> Iterator[CheckMessage]:
    for path in conf.unserved():
        yield CheckWarning(
            f"BROADCASTING{_place(path)}: {NO_EFFECT}.",
            hint="Take it out until the release notes say that it works, or silence this check.",
            id="broadcasting.W017",
        )


def _mistakes(entries: Sequence[object]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(entries):
        for said in mistakes(entry):
            yield Error(
                f"BROADCASTING['APPLICATIONS'][{number}]: {said}.",
                hint="The settings page of the documentation lists every key of an application.",
                id="broadcasting.E006",
            )


def _duplicates(entries: Sequence[object]) -> Iterator[CheckMessage]:
    for key in ("id", "key"):
        used = Counter(
            entry[key]
            for entry in entries
            if isinstance(entry, Mapping) and isinstance(entry.get(key), str)
        )
        for value, times in used.items():
            if times > 1:
                yield Error(
                    f"BROADCASTING['APPLICATIONS']: {times} applications have the {key} {value!r}.",
                    hint=f"Only one of them can be found by it: give each a {key} of its own.",
                    id="broadcasting.E007",
                )


def _weak_secrets(entries: Sequence[Any]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(entries):
        place = f"BROADCASTING['APPLICATIONS'][{number}]"
        if isinstance(entry, Mapping):
            for key in ("secret", "previous_secret"):
                yield from weak_secret(f"{place}[{key!r}]", entry.get(key))
            yield from weak_key(
                f"{place}['encryption_master_key']", entry.get("encryption_master_key")
            )


def _useless_keys(entries: Sequence[object]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and useless_key(entry.get("encryption_master_key")):
            yield Error(
                f"BROADCASTING['APPLICATIONS'][{number}] has an 'encryption_master_key', but"
                " PyNaCl is not installed: encrypted channels can neither be joined nor sent to.",
                hint="pip install 'django-broadcasting[encryption]', or take the key out.",
                id="broadcasting.E016",
            )


def _place(path: str) -> str:
    return "".join(f"[{part!r}]" for part in path.split(".")) if path else ""
