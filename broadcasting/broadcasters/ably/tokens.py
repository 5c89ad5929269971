"""The JWTs that Ably lets clients in with: who they are, and what they may do where.

The only module that knows the JWT library, which is an extra.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters.ably.names import AblyKey

try:
    import jwt
except ImportError as error:
    raise ImproperlyConfigured(
        "The broadcaster 'ably' needs the 'ably' extra: pip install 'django-broadcasting[ably]'"
    ) from error

logger = logging.getLogger("broadcasting.authorization")

ALGORITHM = "HS256"

Capability = dict[str, list[str]]
"""What may be done, by channel."""


class MalformedToken(ValueError):
    """It cannot be read at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token says."""

    client_id: str | None
    """The user's; None for a guest."""

    capability: Capability
    issued_at: int
    expires_at: int
    """Seconds since 1970, as ``issued_at``."""


def write(key: AblyKey, grant: Grant) -> str:
    """Return the token that grants it."""
    claims = {
        "iat": grant.issued_at,
        "exp": grant.expires_at,
        "x-ably-clientId": grant.client_id,
        # Text within JSON: so Ably wants it.
        "x-ably-capability": json.dumps(grant.capability),
    }
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.name})


def read(key: AblyKey, text: str) -> Grant | None:
    """Return what a token of ours grants; None if it has ended, or is not of this key.

    Raises MalformedToken.
    """
    try:
        if jwt.get_unverified_header(text).get("kid") != key.name:
            return None
        claims = jwt.decode(
            text, key.secret, algorithms=[ALGORITHM], options={"require": ["iat", "exp"]}
        )
        return _grant(claims)
    except jwt.InvalidSignatureError:
        return None
    except (jwt.DecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedToken(str(error)) from error
    except jwt.InvalidTokenError as error:
        logger.debug("Began a new token: %s", error)
        return None


def _grant(claims: dict[str, Any]) -> Grant:
    return Grant(
        client_id=claims["x-ably-clientId"],
        capability=dict(json.loads(claims["x-ably-capability"])),
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
    )
