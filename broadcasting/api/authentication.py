"""Who calls: the signed query of Pusher's HTTP API, verified over exactly what was received."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from urllib.parse import unquote

from broadcasting.api.responses import ApiError
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import request_text, verify
from broadcasting.typing import Scope

MAX_SKEW = 600
"""Seconds that a caller's clock may differ, either way (Pusher's rule)."""

REQUIRED = ("auth_key", "auth_timestamp", "auth_version", "auth_signature")


def parse_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters, keys in lower case, values decoded; a repeated key is an error."""
    parameters: dict[str, str] = {}
    for pair in query_string.decode("latin-1").split("&"):
        if not pair:
            continue
        key, _, value = pair.partition("=")
        # Not unquote_plus: libraries sign what they mean, and a raw plus means a plus.
        key = unquote(key).lower()
        if key in parameters:
            raise ApiError(400, f"The parameter {key!r} is repeated")
        parameters[key] = unquote(value)
    return parameters


def authenticate(
    application: Application, scope: Scope, body: bytes, now: float, prefix: str = ""
) -> None:
    """Raise ApiError(401) unless the request was signed with the application's secret.

    ``now`` in Unix seconds; ``prefix`` is where the API is mounted: libraries sign the
    path with or without it.
    """
    parameters = parse_query(scope["query_string"])
    for name in REQUIRED:
        if name not in parameters:
            raise ApiError(401, f"The parameter {name!r} is missing")
    if not _same(parameters["auth_key"], application.key):
        raise ApiError(401, "The auth_key does not belong to this application")
    if parameters["auth_version"] != "1.0":
        raise ApiError(401, "The auth_version must be 1.0")
    _check_timestamp(parameters["auth_timestamp"], now)
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if "body_md5" not in parameters:
        if body:
            raise ApiError(401, "The parameter 'body_md5' is missing")
    elif not _same(parameters["body_md5"], md5):
        raise ApiError(401, "The body_md5 does not match the body")
    signature = parameters["auth_signature"]
    texts = [request_text(scope["method"], path, parameters) for path in _paths(scope, prefix)]
    if True not in [verify(application.secrets, text, signature) for text in texts]:
        raise ApiError(401, f"Invalid signature: you should have signed {texts[0]!r}")


def _paths(scope: Scope, prefix: str) -> Iterator[str]:
    raw = scope.get("raw_path") or scope["path"].encode()
    seen = set()
    for path in (raw.decode("latin-1").partition("?")[0], scope["path"]):
        local = path.removeprefix(scope.get("root_path", ""))
        for candidate in (path, local, local.removeprefix(prefix)):
            if candidate not in seen:
                seen.add(candidate)
                yield candidate


def _check_timestamp(text: str, now: float) -> None:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ApiError(401, "The auth_timestamp must be Unix seconds")
    if abs(now - int(text)) > MAX_SKEW:
        raise ApiError(401, f"The auth_timestamp is more than {MAX_SKEW} seconds off")


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected.encode())
