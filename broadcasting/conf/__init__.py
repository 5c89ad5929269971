"""The one ``BROADCASTING`` dict, read late and typed.

Nothing outside this module reads ``django.conf.settings.BROADCASTING``. A mistake never
crashes an import: ``problems()`` lists them for the system checks, and what is malformed
falls back to its default only until the check stops the deploy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from broadcasting.conf.values import (
    AuthorizationSettings,
    BackendSettings,
    ServerSettings,
    Settings,
    WebhookSettings,
)
from broadcasting.durations import is_seconds, is_some_seconds
from broadcasting.wording import is_http_url

__all__ = [
    "AuthorizationSettings",
    "BackendSettings",
    "Problem",
    "ServerSettings",
    "Settings",
    "WebhookSettings",
    "get_settings",
    "on_change",
    "problems",
    "unserved",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mistake in the dict: where it is, what is wrong, what to write instead."""

    path: str
    message: str
    hint: str


# Names that are fixed but not served by this version: accepted, with a check warning.
PLANNED = frozenset(
    {
        "STATISTICS",
        "SERVER.METRICS",
    }
)

REDIS_BACKPLANES = ("redis", "broadcasting.backplanes.redis.RedisBackplane")
"""How the settings may name the backplane whose server a registry can share."""

_NUMBER = (int, float)
_LOCAL = BackendSettings(backend="local")


def get_settings() -> Settings:
    """Return the typed settings. Cached; ``override_settings`` resets it."""
    return _load().settings


def problems() -> list[Problem]:
    """Return every mistake in ``settings.BROADCASTING``, for the system checks."""
    return _load().problems


def unserved() -> list[str]:
    """Return the paths of settings that are accepted, but have no effect in this version."""
    return _load().unserved


def on_change(reset: Callable[[], object]) -> None:
    """Call ``reset`` when ``BROADCASTING`` (or what defaults derive from) is overridden."""
    _resets.append(reset)


_resets: list[Callable[[], object]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What was read, and from which dict."""

    source: object
    settings: Settings
    problems: list[Problem]
    unserved: list[str]


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_loaded: _Loaded | None = None


def _load() -> _Loaded:
    global _loaded
    raw = getattr(django_settings, "BROADCASTING", _NOTHING)
    loaded = _loaded
    # By identity: another thread may have read the settings before they were overridden.
    if loaded is None or loaded.source is not raw:
        loaded = _loaded = _read(raw)
    return loaded


def _read(raw: Any) -> _Loaded:
    source = raw
    found: list[Problem] = []
    if not isinstance(raw, Mapping):
        found.append(Problem(path="", message="must be a dict", hint="BROADCASTING = {...}"))
        raw = {}
    values = dict(_values(Settings, raw, "", found))
    values.setdefault(
        "broadcasters", MappingProxyType({"default": BackendSettings(backend="channels")})
    )
    if "REGISTRY" not in raw and values.get("backplane", _LOCAL).backend in REDIS_BACKPLANES:
        # It takes the backplane's server, which is there for every process.
        values["registry"] = BackendSettings(backend="redis")
    return _Loaded(
        source=source,
        settings=Settings(**values),
        problems=found,
        unserved=[path for path in sorted(PLANNED) if _is_set(raw, path)],
    )


def _is_set(raw: Mapping[str, Any], path: str) -> bool:
    name, _, rest = path.partition(".")
    if not rest:
        return name in raw
    inner = raw.get(name)
    return isinstance(inner, Mapping) and _is_set(inner, rest)


def _values(
    cls: type, raw: Mapping[str, Any], prefix: str, found: list[Problem]
) -> Iterator[tuple[str, Any]]:
    names = {f.name.upper(): f.name for f in fields(cls)}
    for key, value in raw.items():
        path = f"{prefix}{key}"
        if path in PLANNED:
            continue
        if key not in names:
            planned = (p.removeprefix(prefix) for p in PLANNED if p.startswith(prefix))
            known = [*names, *(name for name in planned if "." not in name)]
            close = get_close_matches(str(key).upper(), known, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."
            found.append(Problem(path=path, message="unknown setting", hint=hint))
            continue
        parse, expected = _PARSERS[path]
        try:
            yield names[key], parse(value, path, found)
        except (TypeError, ValueError):
            found.append(_wrong(path, expected, value))


def _wrong(path: str, expected: str, value: Any) -> Problem:
    # Whole dicts and lists are not shown, nor what stands in their place: there may be secrets.
    plain = isinstance(value, int | float | None)
    plain |= isinstance(value, str) and _ENTRY not in expected and path != "APPLICATIONS"
    got = repr(value) if plain else f"a {type(value).__name__}"
    return Problem(path=path, message=f"must be {expected}", hint=f"Got {got}.")


def _nested(cls: type) -> Callable[[Any, str, list[Problem]], Any]:
    def parse(value: Any, path: str, found: list[Problem]) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError
        return cls(**dict(_values(cls, value, f"{path}.", found)))

    return parse


def _backend(value: Any, path: str, found: list[Problem]) -> BackendSettings:
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        raise TypeError
    for key in value.keys() - {"BACKEND", "OPTIONS"}:
        hint = "An entry has BACKEND and OPTIONS; everything else goes into OPTIONS."
        found.append(Problem(path=f"{path}.{key}", message="unknown setting", hint=hint))
    options = value.get("OPTIONS", {})
    if not isinstance(options, Mapping):
        raise TypeError
    return BackendSettings(backend=value["BACKEND"], options=MappingProxyType(dict(options)))


def _backends(value: Any, path: str, found: list[Problem]) -> Mapping[str, BackendSettings]:
    if not isinstance(value, Mapping) or not value:
        raise TypeError
    backends = {}
    for alias, entry in value.items():
        try:
            backends[alias] = _backend(entry, f"{path}.{alias}", found)
        except TypeError:
            found.append(_wrong(f"{path}.{alias}", _ENTRY, entry))
    return MappingProxyType(backends)


def _networks(value: Any, path: str, found: list[Problem]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    good = []
    for entry in value:
        try:
            good.append(str(ip_network(entry if isinstance(entry, str) else "")))
        except ValueError:
            found.append(_no_network(path, entry))
    return tuple(good)


def _no_network(path: str, entry: Any) -> Problem:
    try:
        near = str(ip_network(entry if isinstance(entry, str) else "", strict=False))
        hint = f"Did you mean {near!r}?"
    except ValueError:
        hint = 'Write addresses such as "10.0.0.7" and networks such as "10.0.0.0/8".'
    return Problem(path=path, message=f"{entry!r} is no address and no network", hint=hint)


def _plain(*types: type, test: Callable[[Any], bool] = lambda _: True) -> Callable[..., Any]:
    def parse(value: Any, path: str, found: list[Problem]) -> Any:
        # bool is an int in Python, never one in settings.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise TypeError
        if not test(value):
            raise ValueError
        return value

    return parse


def _positive(value: float) -> bool:
    return 0 < value < math.inf


_ENTRY = '{"BACKEND": ..., "OPTIONS": {...}}'
_positive_whole = (_plain(int, test=_positive), "a whole number above 0")
_limit = (
    _plain(int, type(None), test=lambda v: v is None or v > 0),
    "a whole number above 0, or None",
)
_not_negative = (_plain(*_NUMBER, test=is_seconds), "a number of seconds")
_bytes = (_plain(int, test=_positive), "a number of bytes above 0")
_seconds = (_plain(*_NUMBER, test=is_some_seconds), "a number of seconds above 0")
_OCCASIONS = ("logout", "password_change", "deactivation")
_switch = (_plain(bool), "True or False")

_PARSERS: dict[str, tuple[Callable[[Any, str, list[Problem]], Any], str]] = {
    "BROADCASTERS": (_backends, f"a dict of aliases to {_ENTRY}"),
    "DEFAULT_BROADCASTER": (_plain(str), "an alias of BROADCASTERS"),
    "QUEUE": (_backend, _ENTRY),
    "APPLICATIONS": (_plain(list, tuple, str, type(None)), "a list of dicts or a dotted path"),
    "BACKPLANE": (_backend, _ENTRY),
    "REGISTRY": (_backend, _ENTRY),
    "PUBLISH_TIMEOUT": _seconds,
    "CACHE_TTL": _seconds,
    "RESCUE": _switch,
    "SERVER": (_nested(ServerSettings), "a dict"),
    "SERVER.PUBLIC_URL": (
        _plain(str, type(None), test=lambda v: v is None or is_http_url(v)),
        "a URL that begins with http:// or https://, or None",
    ),
    "SERVER.PATH": (
        _plain(str, test=lambda v: v == "" or (v.startswith("/") and not v.endswith("/"))),
        'empty, or a path such as "/realtime"',
    ),
    "SERVER.ACTIVITY_TIMEOUT": _seconds,
    "SERVER.PONG_TIMEOUT": _seconds,
    "SERVER.OUTBOX_BYTES": _bytes,
    "SERVER.SLOW_POLICY": (
        _plain(str, test=lambda v: v in ("close", "drop")),
        '"close" or "drop"',
    ),
    "SERVER.DRAIN_DELAY": _not_negative,
    "SERVER.DRAIN_RATE": _positive_whole,
    "SERVER.DRAIN_SECONDS": _not_negative,
    "SERVER.MAX_LOOP_LAG": _seconds,
    "SERVER.MAX_HANDSHAKES_PER_SECOND": _limit,
    "SERVER.MAX_SUBSCRIPTIONS_PER_SECOND": _limit,
    "SERVER.HANDSHAKE_TIMEOUT": _seconds,
    "SERVER.MAX_HEAD_BYTES": _bytes,
    "SERVER.MAX_FRAME_BYTES": _bytes,
    "SERVER.MAX_CONNECTIONS_PER_IP": _limit,
    "SERVER.TRUSTED_PROXIES": (_networks, "a list of addresses and networks"),
    "SERVER.REVOCATION_TTL": _seconds,
    "SERVER.SUBSCRIPTION_COUNT_INTERVAL": _seconds,
    "WEBHOOKS": (_nested(WebhookSettings), "a dict"),
    "WEBHOOKS.BATCH_SECONDS": _not_negative,
    "WEBHOOKS.BATCH_SIZE": _positive_whole,
    "WEBHOOKS.GRACE": _not_negative,
    "WEBHOOKS.TIMEOUT": _seconds,
    "WEBHOOKS.FIRST_RETRY": _seconds,
    "WEBHOOKS.RETRY_SECONDS": _not_negative,
    "WEBHOOKS.MAX_WAITING": _positive_whole,
    "WEBHOOKS.QUEUE": (
        _plain(str, type(None), test=lambda v: v != ""),
        "the name of a queue, or None",
    ),
    "WEBHOOKS.LOG": _switch,
    "WEBHOOKS.LOG_DAYS": (_plain(*_NUMBER, test=_positive), "a number of days above 0"),
    "AUTHORIZATION": (_nested(AuthorizationSettings), "a dict"),
    "AUTHORIZATION.CSRF": _switch,
    "AUTHORIZATION.USER_CHANNEL": _switch,
    "AUTHORIZATION.GUARDS": (_plain(list, tuple), "a list of guard names or dotted paths"),
    "AUTHORIZATION.REVOKE_ON": (
        _plain(list, tuple, test=lambda v: all(one in _OCCASIONS for one in v)),
        'a list of "logout", "password_change", "deactivation"',
    ),
}


def _reset(*, setting: str, **kwargs: object) -> None:
    global _loaded
    if setting in {"BROADCASTING", "SECRET_KEY", "CHANNEL_LAYERS", "ALLOWED_HOSTS"}:
        _loaded = None
        for reset in _resets:
            reset()


setting_changed.connect(_reset, dispatch_uid="broadcasting.conf")
