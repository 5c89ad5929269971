"""Which web pages may open sockets. Browsers always send Origin, other clients need not."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from broadcasting.protocol.application import Application

logger = logging.getLogger("broadcasting.server")

_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_reported: dict[tuple[str, str], None] = {}
"""What was logged already, the oldest first."""

_MAX_REPORTED = 1_000


def is_allowed(origin: str | None, application: Application) -> bool:
    """Whether a page of ``origin`` may connect; a request without one is not a browser's."""
    if origin is None:
        return True
    entries = application.allowed_origins
    allowed = _matches_site(origin) if entries is None else _matches_any(origin, entries)
    if not allowed:
        _report(origin, application)
    return allowed


def _matches_any(origin: str, entries: Sequence[str]) -> bool:
    return "*" in entries or any(_matches(origin, entry) for entry in entries)


def _matches_site(origin: str) -> bool:
    """Whether the site itself would accept requests from ``origin``."""
    hosts = list(settings.ALLOWED_HOSTS)
    if settings.DEBUG and not hosts:
        hosts = _DEBUG_HOSTS
    host = _host(origin)
    if host is not None and validate_host(host, hosts):
        return True
    return _matches_any(origin, settings.CSRF_TRUSTED_ORIGINS)


def _matches(origin: str, entry: str) -> bool:
    """Whether ``origin`` fits ``entry``: a full origin, or a host with or without a port.

    ``*.`` in front of a host stands for whatever is below it.
    """
    host = _host(origin)
    if host is None:
        return False
    pattern = entry if "://" in entry else f"//{entry}"
    pattern_host = _host(pattern)
    if pattern_host is None or not _host_matches(host, pattern_host):
        return False
    scheme, port = _place(pattern)
    if scheme:
        return _place(origin) == (scheme, port)
    return port is None or _place(origin)[1] == port


def _host_matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def _place(origin: str) -> tuple[str, int | None]:
    parts = urlsplit(origin)
    return parts.scheme.lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def _host(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    if parts.hostname is None:
        return None
    return f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname


def _report(origin: str, application: Application) -> None:
    # Cut: whoever makes origins up makes long ones.
    key = (origin[:200], application.id)
    if key in _reported:
        return
    if len(_reported) >= _MAX_REPORTED:
        del _reported[next(iter(_reported))]
    _reported[key] = None
    logger.warning(
        "Refused sockets from origin %.200r for application %r. If it is yours, add it to %s",
        origin,
        application.id,
        " or ".join(_cures(application)),
    )


def _cures(application: Application) -> Iterator[str]:
    if application.allowed_origins is None:
        yield "CSRF_TRUSTED_ORIGINS"
    yield f"'allowed_origins' of application {application.id!r} in BROADCASTING['APPLICATIONS']"
