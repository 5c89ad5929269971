"""Checks of what is written in ``BROADCASTING``. Knows nothing of what it is to work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from broadcasting import conf
from broadcasting.applications.settings import mistakes
from broadcasting.protocol import encryption

EXAMPLE_SECRET = "app-secret"  # noqa: S105 - the documentation's, which everybody knows
MIN_SECRET_LENGTH = 16
EXAMPLE_MASTER_KEY = bytes(range(32))
MIN_DIFFERENT_BYTES = 16
"""In 32 random ones there are fewer once in more than a billion times."""

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
    if entries is None or isinstance(entries, str) or encryption.is_available():
        return []
    return [*_useless_keys(entries)]


@register("broadcasting", deploy=True)
def check_secrets(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W026: secrets that everybody knows or that can be guessed."""
    entries = conf.get_settings().applications
    if entries is None or isinstance(entries, str):
        return []
    return [*_weak_secrets(entries), *_weak_keys(entries)]


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
        for key in ("secret", "previous_secret"):
            secret = entry.get(key) if isinstance(entry, Mapping) else None
            if not isinstance(secret, str) or not secret:
                continue
            if secret == EXAMPLE_SECRET:
                weakness = "is the one of the documentation's examples"
            elif len(secret) < MIN_SECRET_LENGTH:
                weakness = f"has fewer than {MIN_SECRET_LENGTH} characters"
            else:
                continue
            yield CheckWarning(
                f"BROADCASTING['APPLICATIONS'][{number}]: {key!r} {weakness}, so that others"
                " can sign for channels and publish.",
                hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))",'
                " and read it from the environment.",
                id="broadcasting.W026",
            )


def _useless_keys(entries: Sequence[object]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and entry.get("encryption_master_key") is not None:
            yield Error(
                f"BROADCASTING['APPLICATIONS'][{number}] has an 'encryption_master_key', but"
                " PyNaCl is not installed: encrypted channels can neither be joined nor sent to.",
                hint="pip install 'django-broadcasting[encryption]', or take the key out.",
                id="broadcasting.E016",
            )


def _weak_keys(entries: Sequence[Any]) -> Iterator[CheckMessage]:
    for number, entry in enumerate(entries):
        text = entry.get("encryption_master_key") if isinstance(entry, Mapping) else None
        try:
            key = encryption.read_master_key(text or "")
        except (TypeError, ValueError):  # said by E006, where there is one
            continue
        if key == EXAMPLE_MASTER_KEY:
            weakness = "is the one of the libraries' examples"
        elif len(set(key)) < MIN_DIFFERENT_BYTES:
            weakness = "is not random"
        else:
            continue
        yield CheckWarning(
            f"BROADCASTING['APPLICATIONS'][{number}]: 'encryption_master_key' {weakness}, so that"
            " others can read what encrypted channels carry.",
            hint='Make one with: python -c "import base64, os;'
            ' print(base64.b64encode(os.urandom(32)).decode())", and read it from the environment.',
            id="broadcasting.W026",
        )


def _place(path: str) -> str:
    return "".join(f"[{part!r}]" for part in path.split(".")) if path else ""
