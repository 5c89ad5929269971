"""Applications from ``BROADCASTING["APPLICATIONS"]``, one dict each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeGuard

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from broadcasting.applications import webhooks
from broadcasting.applications.base import BaseApplications
from broadcasting.durations import is_some_seconds
from broadcasting.protocol.application import Application
from broadcasting.protocol.encryption import read_master_key
from broadcasting.protocol.origins import read_entry
from broadcasting.wording import unknown_keys

_IDENTIFIER = re.compile(r"[A-Za-z0-9_\-.]{1,100}")
_FIELDS = {f.name for f in fields(Application)}
_SWITCHES = (
    "enabled",
    "require_tls",
    "enable_replay_protection",
    "enable_statistics",
    "enable_structured_data",
    "enable_subscription_count",
    "enable_user_authentication",
    "enable_watchlist_events",
)
_UNLIMITED = (
    "capacity",
    "max_channels_per_connection",
    "max_messages_per_second",
    "max_subscriptions_per_second",
    "max_client_events_per_second",
    "max_backend_events_per_second",
    "max_read_requests_per_second",
)


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
    values = dict(entry)
    if values.get("allowed_origins") is not None:
        values["allowed_origins"] = tuple(values["allowed_origins"])
    values["webhooks"] = tuple(webhooks.parse(webhook) for webhook in values.get("webhooks", ()))
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
    yield from unknown_keys(entry, _FIELDS)
    if not isinstance(entry.get("name", ""), str):
        yield "'name' must be a string"
    previous = entry.get("previous_secret")
    if previous is not None and not (isinstance(previous, str) and previous):
        yield "'previous_secret' must be a non-empty string or None"
    for key in _SWITCHES:
        if not isinstance(entry.get(key, True), bool):
            yield f"{key!r} must be True or False"
    if entry.get("enable_client_events", False) not in (True, False, "members"):
        yield "'enable_client_events' must be False, True or 'members'"
    origins = entry.get("allowed_origins")
    if origins is not None and not _is_list_of(origins, str):
        yield "'allowed_origins' must be a list of strings"
    else:
        yield from _origin_mistakes(origins or ())
    master_key = entry.get("encryption_master_key")
    if master_key is not None and not _is_master_key(master_key):
        yield "'encryption_master_key' must be 32 bytes in base64, or None"
    yield from _number_mistakes(entry)
    yield from _webhook_mistakes(entry.get("webhooks", ()))


def _origin_mistakes(origins: Sequence[str]) -> Iterator[str]:
    for entry in origins:
        if entry != "*" and read_entry(entry) is None:
            yield (
                f"{entry!r} in 'allowed_origins' fits no origin: write 'https://app.example.com',"
                " 'app.example.com', 'app.example.com:8443' or '*.example.com'"
            )


def _is_master_key(value: object) -> bool:
    try:
        read_master_key(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _number_mistakes(entry: Mapping[Any, Any]) -> Iterator[str]:
    timeout = entry.get("user_authentication_timeout", 30)
    if not is_some_seconds(timeout):
        yield "'user_authentication_timeout' must be a number of seconds above 0"
    for key, value in entry.items():
        optional = key in _UNLIMITED and value is None
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        limit = key in _FIELDS and (key == "capacity" or key.startswith("max_"))
        if limit and not (optional or number):
            yield f"{key!r} must be a whole number above 0"


def _webhook_mistakes(entries: object) -> Iterator[str]:
    if not _is_list_of(entries, object):
        yield "'webhooks' must be a list of dicts"
        return
    for number, entry in enumerate(entries):
        for said in webhooks.mistakes(entry):
            yield f"webhooks[{number}]: {said}"


def _is_list_of(value: object, kind: type) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple) and all(isinstance(one, kind) for one in value)
