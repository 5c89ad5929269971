"""Which web pages may open sockets. Browsers always send Origin, other clients need not."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.http.request import validate_host

from broadcasting.protocol.application import Application
from broadcasting.protocol.origins import read_entry, read_origin
from broadcasting.server.speaking import OnceEach

logger = logging.getLogger("broadcasting.server")

_DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
_reported = OnceEach()


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
    if "*" in entries:
        return True
    found = read_origin(origin)
    if found is None:
        return False
    return any((one := read_entry(entry)) is not None and one.takes(found) for entry in entries)


def _matches_site(origin: str) -> bool:
    """Whether the site itself would accept requests from ``origin``."""
    hosts = list(settings.ALLOWED_HOSTS)
    if settings.DEBUG and not hosts:
        hosts = _DEBUG_HOSTS
    found = read_origin(origin)
    if found is None:
        return False
    return validate_host(found.host, hosts) or _matches_any(origin, settings.CSRF_TRUSTED_ORIGINS)


def _report(origin: str, application: Application) -> None:
    # Cut: whoever makes origins up makes long ones.
    if not _reported.is_new((origin[:200], application.id)):
        return
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
