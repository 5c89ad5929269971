"""Applications from ``BROADCASTING["APPLICATIONS"]``, one dict each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from broadcasting.applications.base import BaseApplications
from broadcasting.protocol.application import Application

# Names that are fixed but not served by this version: accepted, with a check warning.
PLANNED = frozenset(
    {
        "enable_subscription_count",
        "enable_user_authentication",
        "user_authentication_timeout",
        "enable_watchlist_events",
        "encryption_master_key",
        "max_backend_events_per_second",
        "max_read_requests_per_second",
    }
)

_IDENTIFIER = re.compile(r"[A-Za-z0-9_\-.]{1,100}")
_FIELDS = {f.name for f in fields(Application)}
_SWITCHES = ("enabled", "require_tls", "enable_statistics")
_LISTS: dict[str, tuple[type, str]] = {
    "allowed_origins": (str, "strings"),
    "webhooks": (Mapping, "dicts"),
}


class SettingsApplications(BaseApplications):
    """Parsed once; ``override_settings`` makes a new one."""

    def __init__(self, entries: Sequence[Mapping[str, Any]] | None) -> None:
        self._applications = tuple(
            [derived()] if entries is None else [parse(entry) for entry in entries]
        )
        self._by_key = {application.key: application for application in self._applications}
        self._by_id = {application.id: application for application in self._applications}

    def all(self) -> Sequence[Application]:
        return self._applications

    def by_key(self, key: str) -> Application | None:
        return self._by_key.get(key)

    def by_id(self, app_id: str) -> Application | None:
        return self._by_id.get(app_id)


def derived() -> Application:
    """Return the application of a project that configured none: its secret is never written."""
    secret = salted_hmac("broadcasting.application", "app", algorithm="sha256").hexdigest()
    name = str(getattr(django_settings, "ROOT_URLCONF", "app")).partition(".")[0]
    return Application(id="app", key="app-key", secret=secret, name=name)


def parse(entry: Mapping[str, Any]) -> Application:
    """Return the application of one dict; raise ImproperlyConfigured with what is wrong."""
    wrong = list(mistakes(entry))
    if wrong:
        raise ImproperlyConfigured(f"BROADCASTING['APPLICATIONS']: {'; '.join(wrong)}")
    values = {key: value for key, value in entry.items() if key in _FIELDS}
    for key in _LISTS:
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    return Application(**values)


def mistakes(entry: object) -> Iterator[str]:
    """Yield what is wrong with one dict, in words that never show a secret."""
    if not isinstance(entry, Mapping):
        yield f"an application must be a dict, not {type(entry).__name__}"
        return
    for key in ("id", "key", "secret"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            yield f"{key!r} must be a non-empty string"
        elif key != "secret" and not _IDENTIFIER.fullmatch(entry[key]):
            yield f"{key!r} may hold letters, digits, '_', '-' and '.' only"
    for key in entry:
        if key not in _FIELDS and key not in PLANNED:
            close = get_close_matches(str(key), _FIELDS | PLANNED, 1)
            yield f"unknown key {key!r}" + (f", did you mean {close[0]!r}?" if close else "")
    if not isinstance(entry.get("name", ""), str):
        yield "'name' must be a string"
    previous = entry.get("previous_secret")
    if previous is not None and not (isinstance(previous, str) and previous):
        yield "'previous_secret' must be a non-empty string or None"
    for key in _SWITCHES:
        if not isinstance(entry.get(key, True), bool):
            yield f"{key!r} must be True or False"
    for key, (kind, plural) in _LISTS.items():
        values = entry.get(key, ())
        if values is None and key == "allowed_origins":
            continue
        if not isinstance(values, list | tuple) or not all(isinstance(v, kind) for v in values):
            yield f"{key!r} must be a list of {plural}"
    if entry.get("enable_client_events", False) not in (True, False, "members"):
        yield "'enable_client_events' must be False, True or 'members'"
    for key, value in entry.items():
        optional = key in ("capacity", "max_client_events_per_second") and value is None
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        limit = key in _FIELDS and (key == "capacity" or key.startswith("max_"))
        if limit and not (optional or number):
            yield f"{key!r} must be a whole number above 0"
