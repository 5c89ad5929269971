"""What makes a secret a bad one, whoever it belongs to. It is never shown."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from broadcasting.protocol import encryption

EXAMPLE_SECRETS = frozenset({"app-secret", "only-for-development"})
"""Those of the documentation, which everybody knows."""

MIN_SECRET_LENGTH = 16
EXAMPLE_MASTER_KEY = bytes(range(32))
MIN_DIFFERENT_BYTES = 16
"""In 32 random ones there are fewer once in more than a billion times."""


def weak_secret(place: str, secret: object) -> Iterator[CheckMessage]:
    """Yield what is wrong with a secret that signs; ``place`` says where it stands."""
    if not isinstance(secret, str) or not secret:
        return
    if secret in EXAMPLE_SECRETS:
        weakness = "is the one of the documentation's examples"
    elif len(secret) < MIN_SECRET_LENGTH:
        weakness = f"has fewer than {MIN_SECRET_LENGTH} characters"
    else:
        return
    yield CheckWarning(
        f"{place} {weakness}, so that others can sign for channels and publish.",
        hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))",'
        " and read it from the environment.",
        id="broadcasting.W026",
    )


def weak_key(place: str, text: object) -> Iterator[CheckMessage]:
    """Yield what is wrong with a master key, if it is one."""
    try:
        key = encryption.read_master_key(text if isinstance(text, str) else "")
    except ValueError:  # said by E004 and E006, where there is one
        return
    if key == EXAMPLE_MASTER_KEY:
        weakness = "is the one of the libraries' examples"
    elif len(set(key)) < MIN_DIFFERENT_BYTES:
        weakness = "is not random"
    else:
        return
    yield CheckWarning(
        f"{place} {weakness}, so that others can read what encrypted channels carry.",
        hint='Make one with: python -c "import base64, os;'
        ' print(base64.b64encode(os.urandom(32)).decode())", and read it from the environment.',
        id="broadcasting.W026",
    )


def useless_key(text: object) -> bool:
    """Whether there is a master key, and nothing to encrypt with."""
    return text is not None and not encryption.is_available()
