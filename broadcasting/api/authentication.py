"""Who calls: the signed query of Pusher's HTTP API, verified over exactly what was received."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from broadcasting.api.responses import ApiError
from broadcasting.api.routes import raw_path
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import request_text, verify
from broadcasting.typing import Scope

MAX_SKEW = 600
"""Seconds that a caller's clock may differ, either way (Pusher's rule)."""

REQUIRED = ("auth_key", "auth_timestamp", "auth_version", "auth_signature")


def parse_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters, keys in lower case, values decoded; a repeated key is an error.

    ``key[]`` and ``key[0]`` are parts of one list, whose values are joined by commas.
    """
    text = query_string.decode("utf-8", "surrogateescape")
    escaped = "%" in text
    parameters: dict[str, str] = {}
    lists: set[str] = set()
    for pair in text.split("&"):
        key, _, value = pair.partition("=")
        if escaped:
            # Not unquote_plus: libraries sign what they mean, and a raw plus means a plus.
            key, value = unquote(key), unquote(value)
        key = key.lower()
        if key.endswith("]"):
            key = key.partition("[")[0]
            if key in lists:
                parameters[key] += f",{value}"
                continue
            lists.add(key)
            if key in parameters:
                raise ApiError(400, f"The parameter {key!r} is repeated")
        elif key in parameters:
            raise ApiError(400, f"The parameter {key!r} is repeated")
        elif not pair:
            continue
        parameters[key] = value
    return parameters


def authenticate(
    application: Application,
    scope: Scope,
    parameters: Mapping[str, str],
    body: bytes,
    now: float,
    prefix: str = "",
) -> None:
    """Raise ApiError(401) unless the request was signed with the application's secret.

    ``parameters`` are those of the query; ``now`` in Unix seconds; ``prefix`` is where the API
    is mounted: libraries sign the path with or without it.
    """
    for name in REQUIRED:
        if name not in parameters:
            raise ApiError(401, f"The parameter {name!r} is missing")
    if not _same(parameters["auth_key"], application.key):
        raise ApiError(401, "The auth_key does not belong to this application")
    if parameters["auth_version"] != "1.0":
        raise ApiError(401, "The auth_version must be 1.0")
    _check_timestamp(parameters["auth_timestamp"], now)
    _check_body(parameters.get("body_md5"), body)
    signature, secrets = parameters["auth_signature"], application.secrets
    for signed in _ways(scope, parameters):
        for path in _paths(scope, prefix):
            if verify(secrets, request_text(scope["method"], path, signed), signature):
                return
    text = request_text(scope["method"], raw_path(scope), parameters)
    raise ApiError(401, f"Invalid signature: you should have signed {text!r}")


def _ways(scope: Scope, parameters: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield the ways to sign lists: PHP and node join the values, Ruby repeats the key."""
    yield parameters
    query = unquote(scope["query_string"].decode("utf-8", "surrogateescape"))
    if "[]=" in query:
        repeated: dict[str, str] = {}
        for pair in scope["query_string"].decode("utf-8", "surrogateescape").split("&"):
            key, _, value = (unquote(part) for part in pair.partition("="))
            before = f"{repeated[key]}&{key}=" if key in repeated else ""
            repeated[key] = before + value
        yield repeated


def _paths(scope: Scope, prefix: str) -> Iterator[str]:
    """Yield what a library may have taken for the path, what it most likely did first."""
    raw = raw_path(scope)
    yield raw
    seen = {raw}
    for path in (raw, scope["path"]):
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


def _check_body(presented: str | None, body: bytes) -> None:
    if presented is None:
        if body:
            raise ApiError(401, "The parameter 'body_md5' is missing")
        return
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    # Some libraries write hex in capitals.
    if not _same(presented.lower(), md5):
        raise ApiError(401, "The body_md5 does not match the body")


def _same(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), expected.encode())
