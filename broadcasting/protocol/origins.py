"""Origins of web pages, and the entries of a list that lets them in. Pure: text in, a verdict out.

An origin is read as a browser writes it, and in no other way: what merely looks like one, such as
``https://good.example@evil.example``, is none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

_ORIGIN = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.\-]*)://)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\x00-\x20\x7f/?#@:\[\]\\,*%\"<>^`{|}]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Origin(NamedTuple):
    """Where a page is from."""

    scheme: str
    """Empty for an entry that names none."""

    host: str
    """In lower case and ASCII, without a last dot; IPv6 in brackets."""

    port: int | None
    """None for an entry that names none, and a scheme that has none."""


class Entry(NamedTuple):
    """What one entry lets in."""

    origin: Origin
    below: bool
    """Whether it is what lies below the host, and not the host itself."""

    def takes(self, origin: Origin) -> bool:
        """Whether ``origin`` fits; scheme and port are compared where the entry names them."""
        scheme, host, port = self.origin
        if not (origin.host.endswith(f".{host}") if self.below else origin.host == host):
            return False
        if scheme:
            return (origin.scheme, origin.port) == (scheme, port)
        return port is None or origin.port == port


def read_origin(text: str) -> Origin | None:
    """Return the origin that a browser has sent, or None if it is none (or ``null``)."""
    found = _read(text) if text.isascii() else None
    return found if found is not None and found.scheme else None


@lru_cache(maxsize=1_000)
def read_entry(text: str) -> Entry | None:
    """Return what ``text`` lets in: a full origin, or a host with or without a port.

    ``*.`` in front of the host stands for whatever is below it. None if it can fit nothing.
    """
    scheme, separator, rest = text.rpartition("://")
    below = rest.startswith("*.")
    found = _read(f"{scheme}{separator}{rest.removeprefix('*.')}".removesuffix("/"))
    return None if found is None else Entry(found, below)


def _read(text: str) -> Origin | None:
    parts = _ORIGIN.fullmatch(text.lower())
    if parts is None:
        return None
    scheme, host = parts["scheme"] or "", _host(parts["host"])
    port = int(parts["port"]) if parts["port"] else _DEFAULT_PORTS.get(scheme)
    if host is None or (port is not None and not 0 < port < 65_536):
        return None
    return Origin(scheme, host, port)


def _host(text: str) -> str | None:
    try:
        if text.startswith("["):
            return f"[{IPv6Address(text[1:-1])}]"
        # As browsers write it: a domain of any script in ASCII.
        host = text.removesuffix(".")
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except ValueError:
        return None
    return host if host and not host.startswith(".") and ".." not in host else None
