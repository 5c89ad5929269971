"""How things are called and what is wrong with them, in words for people. Knows nothing of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit


def name_of(called: object) -> str:
    """Return the dotted path of a function or class, or of the class of any other object."""
    named: Any = called if hasattr(called, "__qualname__") else type(called)
    # Methods of built-in types belong to no module.
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)


def unknown_keys(entry: Mapping[Any, Any], known: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each key that is not ``known``, with the nearest that is."""
    for key in entry:
        if key not in known:
            close = get_close_matches(str(key), known, 1)
            yield f"unknown key {key!r}" + (f", did you mean {close[0]!r}?" if close else "")


def is_http_url(url: object) -> bool:
    """Whether ``url`` is text that begins with http:// or https:// and names a host."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for a port that is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
