"""What tells one site from another on a server that both use.

Made from ``SECRET_KEY``, which all processes of a site share and no two sites do, staging and
production least of all. While a key is rotated the site has the names of the old one as well.
"""

from __future__ import annotations

from django.conf import settings
from django.utils.crypto import salted_hmac

SALT = "broadcasting.site"
LENGTH = 10
"""Hexadecimal digits; a trillion names, of which a server knows a handful."""


def site_names() -> tuple[str, ...]:
    """Return a name for each key in use, the newest first. None of them tells a key."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(_name(key) for key in keys)


def lasting_name() -> str:
    """Return the one name that this site has had for longest: of its oldest key in use."""
    return site_names()[-1]


def _name(key: str | bytes) -> str:
    return salted_hmac(SALT, "site", secret=key, algorithm="sha256").hexdigest()[:LENGTH]
