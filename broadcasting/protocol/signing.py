"""Signatures: HMAC-SHA256 with the application's secret, in lower-case hex (Pusher's contract).

Whoever signs must have validated the socket id and the channel name first: the parts are
joined by colons, so a colon inside one of them would forge another message.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from broadcasting.protocol.application import Application

MAX_SKEW = 600
"""Seconds that the clock of who signs a request may differ, either way (Pusher's rule)."""


def sign(secret: str, text: str | bytes) -> str:
    """Return the hex HMAC-SHA256 of ``text``."""
    # "surrogatepass": a lone surrogate in JSON must fail to verify, not crash.
    message = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hmac.digest(secret.encode(), message, "sha256").hex()


def channel_text(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """Return what a subscription's signature covers, ``channel_data`` exactly as received."""
    # Server libraries leave the third part out for empty data as well as for none.
    if not channel_data:
        return f"{socket_id}:{channel}"
    return f"{socket_id}:{channel}:{channel_data}"


def user_text(socket_id: str, user_data: str) -> str:
    """Return what a user sign-in's signature covers."""
    return f"{socket_id}::user::{user_data}"


def request_text(method: str, path: str, parameters: Mapping[str, str]) -> str:
    """Return what an HTTP API request's signature covers: keys lowered and sorted, values raw."""
    pairs = sorted([(key.lower(), value) for key, value in parameters.items()])
    query = "&".join([f"{key}={value}" for key, value in pairs if key != "auth_signature"])
    return f"{method.upper()}\n{path}\n{query}"


def authorization(application: Application, text: str) -> str:
    """Return ``key:signature``, what an auth endpoint answers with."""
    return f"{application.key}:{sign(application.secret, text)}"


def verify(secrets: Iterable[str], text: str | bytes, signature: str) -> bool:
    """Whether ``signature`` was made with one of ``secrets``, compared in constant time."""
    presented = signature.encode("utf-8", "surrogatepass")
    # No early exit: every secret is tried, whatever the first one says.
    return True in [hmac.compare_digest(sign(s, text).encode(), presented) for s in secrets]


def verify_authorization(application: Application, text: str, auth: str | None) -> bool:
    """Whether ``auth`` is this application's key, a colon and a good signature of ``text``."""
    if not auth:
        return False
    key, colon, signature = auth.partition(":")
    if not colon or not hmac.compare_digest(
        key.encode("utf-8", "surrogatepass"), application.key.encode()
    ):
        return False
    return verify(application.secrets, text, signature)
