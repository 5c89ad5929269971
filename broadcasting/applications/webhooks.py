"""One entry of an application's ``webhooks``: a dict into a value, or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from broadcasting.occurrences import WEBHOOK_NAMES
from broadcasting.protocol.application import Webhook
from broadcasting.wording import is_http_url, unknown_keys

KEYS = ("url", "event_types", "filter", "headers")
FILTERS = ("channel_name_starts_with", "channel_name_ends_with")

RESERVED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "x-webhook-id",
    }
)
"""Names of headers that describe a request of ours, in lower case."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?")


def parse(entry: Mapping[str, Any]) -> Webhook:
    """Return the endpoint of an entry in which mistakes() finds nothing."""
    types = entry.get("event_types")
    return Webhook(
        url=entry["url"],
        event_types=None if types is None else frozenset(types),
        headers=MappingProxyType(dict(entry.get("headers") or {})),
        **(entry.get("filter") or {}),
    )


def mistakes(entry: object) -> Iterator[str]:
    """Yield what is wrong with one entry, in words that never show its URL or headers."""
    if not isinstance(entry, Mapping):
        yield f"a webhook must be a dict, not {type(entry).__name__}"
        return
    yield from unknown_keys(entry, KEYS)
    if not is_http_url(entry.get("url")):
        yield "'url' must begin with http:// or https:// and name a host"
    types = entry.get("event_types")
    if types is not None and not _are_strings(types):
        yield "'event_types' must be a list of strings"
    elif types is not None:
        for name in types:
            if name not in WEBHOOK_NAMES:
                yield f"unknown event type {name!r}; known: {', '.join(WEBHOOK_NAMES)}"
    yield from _filter_mistakes(entry.get("filter"))
    yield from _header_mistakes(entry.get("headers"))
    if _are_credentials_twice(entry.get("url"), entry.get("headers")):
        yield "a user in 'url' and an 'Authorization' among 'headers' are one too many"


def _filter_mistakes(value: object) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield "'filter' must be a dict"
        return
    yield from unknown_keys(value, FILTERS)
    for name in FILTERS:
        if not isinstance(value.get(name, ""), str):
            yield f"{name!r} must be a string"


def _header_mistakes(value: object) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield "'headers' must be a dict"
        return
    for name, content in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            yield f"{name!r} is not the name of a header"
        elif name.lower().startswith("x-pusher-"):
            yield f"the header {name!r} is Pusher's own"
        elif name.lower() in RESERVED_HEADERS:
            yield f"the header {name!r} is set by the request itself"
        elif not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            yield f"the header {name!r} must be a string of printable ASCII without blanks around"


def _are_credentials_twice(url: object, headers: object) -> bool:
    """Whether one of them would silently win over the other."""
    if not is_http_url(url) or not isinstance(headers, Mapping):
        return False
    return "@" in urlsplit(str(url)).netloc and any(
        isinstance(name, str) and name.lower() == "authorization" for name in headers
    )


def _are_strings(value: object) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(one, str) for one in value
    )
