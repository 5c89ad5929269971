"""Who calls: the signed query of Pusher's HTTP API, verified over exactly what was received."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from broadcasting.api.responses import ApiError
from broadcasting.api.routes import raw_path
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import MAX_SKEW, request_text, verify
from broadcasting.typing import Scope

REQUIRED = frozenset({"auth_key", "auth_timestamp", "auth_version", "auth_signature"})


def parse_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters, keys in lower case, values decoded; a repeated key is an error.

    ``key[]`` and ``key[0]`` are parts of one list, whose values are joined by commas.
    """
    parameters: dict[str, str] = {}
    lists: set[str] = set()
    for key, value in _pairs(query_string):
        name = key.lower()
        if name.endswith("]"):
            name = name.partition("[")[0]
            if name in lists:
                parameters[name] += f",{value}"
                continue
            lists.add(name)
        if name in parameters:
            raise ApiError(400, f"The parameter {name!r} is repeated")
        parameters[name] = value
    return parameters


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    text = query_string.decode("utf-8", "surrogateescape")
    parts = [pair.partition("=") for pair in text.split("&") if pair]
    if "%" not in text:
        return [(key, value) for key, _, value in parts]
    # Not unquote_plus: libraries sign what they mean, and a raw plus means a plus.
    return [(unquote(key), unquote(value)) for key, _, value in parts]


def authenticate(
    application: Application,
    scope: Scope,
    parameters: Mapping[str, str],
    now: float,
    prefix: str = "",
) -> None:
    """Raise ApiError(401) unless the request was signed with the application's secret.

    ``parameters`` are those of the query; ``now`` in Unix seconds; ``prefix`` is where the API
    is mounted: libraries sign the path with or without it. The body is not needed: its digest is
    signed as one of the parameters, see check_body().
    """
    if not parameters.keys() >= REQUIRED:
        missing = ", ".join(sorted(REQUIRED - parameters.keys()))
        raise ApiError(401, f"The query has no {missing}")
    if parameters["auth_key"] != application.key:
        raise ApiError(401, "The auth_key does not belong to this application")
    if parameters["auth_version"] != "1.0":
        raise ApiError(401, "The auth_version must be 1.0")
    _check_timestamp(parameters["auth_timestamp"], now)
    signature, secrets = parameters["auth_signature"], application.secrets
    method, path = scope["method"], raw_path(scope)
    likely = request_text(method, path, parameters)
    if verify(secrets, likely, signature):
        return
    for signed in _ways(scope, parameters):
        for path in _paths(scope, prefix):
            if verify(secrets, request_text(method, path, signed), signature):
                return
    raise ApiError(401, f"Invalid signature: you should have signed {likely!r}")


def _ways(scope: Scope, parameters: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield the ways to sign lists: PHP and node join the values, Ruby repeats the key."""
    yield parameters
    pairs = _pairs(scope["query_string"])
    if any(key.endswith("[]") for key, _ in pairs):
        repeated: dict[str, str] = {}
        for key, value in pairs:
            repeated[key] = f"{repeated[key]}&{key}={value}" if key in repeated else value
        yield repeated


def _paths(scope: Scope, prefix: str) -> Iterator[str]:
    """Yield what a library may have taken for the path."""
    raw = raw_path(scope)
    seen = set()
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


def check_body(presented: str | None, body: bytes) -> None:
    """Raise ApiError(401) unless ``presented``, the query's ``body_md5``, is the body's."""
    if presented is None:
        if body:
            raise ApiError(401, "The query has no body_md5")
        return
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    # Some libraries write hex in capitals.
    if presented.lower() != md5:
        raise ApiError(401, "The body_md5 does not match the body")
