"""What the registry in Redis may be told in ``OPTIONS``, read and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from broadcasting.conf import REDIS_BACKPLANES, get_settings
from broadcasting.durations import TOO_LONG, is_some_seconds
from broadcasting.redis_clients import SERVER_OPTIONS, RedisServer, server_of
from broadcasting.sites import lasting_name

PLACE = "BROADCASTING['REGISTRY']['OPTIONS']"
TIMEOUT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """Durations in seconds."""

    server: RedisServer
    prefix: str
    """Of all keys. Unless one is chosen it is the site's own, made from ``SECRET_KEY``."""

    timeout: float = TIMEOUT
    """Wait for one answer of the store; left out, half a lease if that is less."""

    retry_delay: float = 1.0
    """Between attempts to reach a store that is away; whoever asks meanwhile is told at once."""

    heartbeat: float = 3.0
    lease: float = 9.0
    """Silence after which a node counts as dead."""

    sweep: float = 1.0
    """Between two looks for nodes that are dead."""


SHARED = SERVER_OPTIONS | {"prefix"}
"""Options that the backplane has as well."""

DURATIONS = ("timeout", "retry_delay", "heartbeat", "lease", "sweep")
KNOWN_OPTIONS = SHARED.union(DURATIONS)


def read_options(options: Mapping[str, Any]) -> RedisOptions:
    """Return ``options`` with every default. Raises ImproperlyConfigured.

    Where they name no server it is that of the backplane.
    """
    backplane = get_settings().backplane
    if not SERVER_OPTIONS & options.keys() and backplane.backend in REDIS_BACKPLANES:
        shared = {name: backplane.options[name] for name in SHARED & backplane.options.keys()}
        options = {**shared, **options}
    server = server_of(options, PLACE)
    prefix = options["prefix"] if "prefix" in options else f"broadcasting-{lasting_name()}"
    if not isinstance(prefix, str) or not prefix or "{" in prefix or "}" in prefix:
        raise ImproperlyConfigured(f"{PLACE}['prefix'] must be text without braces")
    given = {name: _seconds(options, name) for name in DURATIONS if name in options}
    if "lease" in given:
        given.setdefault("timeout", min(TIMEOUT, given["lease"] / 2))
    found = RedisOptions(server=server, prefix=prefix, **given)
    if found.lease <= 2 * found.heartbeat:
        raise ImproperlyConfigured(
            f"{PLACE}['lease'] ({found.lease:g} s) must be longer than two heartbeats"
            f" ({found.heartbeat:g} s each), or one that is late is the end of a node"
        )
    if found.timeout >= found.lease:
        raise ImproperlyConfigured(
            f"{PLACE}['timeout'] ({found.timeout:g} s) must be shorter than the lease"
            f" ({found.lease:g} s), which would be over before a node may try again"
        )
    if found.lease <= 4 * found.sweep:
        raise ImproperlyConfigured(
            f"{PLACE}['lease'] ({found.lease:g} s) must be longer than four sweeps"
            f" ({found.sweep:g} s each), or every look at the nodes seems to follow an outage"
        )
    return found


def _seconds(options: Mapping[str, Any], name: str) -> float:
    value = options[name]
    if not is_some_seconds(value) or value >= TOO_LONG:
        raise ImproperlyConfigured(f"{PLACE}[{name!r}] must be a number of seconds above 0")
    return float(value)
