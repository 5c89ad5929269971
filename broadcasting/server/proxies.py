"""Whom a proxy speaks for: the address and the scheme of the client behind it.

A proxy appends to ``X-Forwarded-For`` whom it was called by, so the header is read from its end,
and only as far as those who wrote it are trusted: what stands before is the client's own word.
``Forwarded`` is not read at all, since a proxy that writes one of the two passes on the other.

Programs of the same machine are trusted, on loopback or a unix socket; others by the settings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from broadcasting.typing import AsgiApplication, Receive, Scope, Send

Address: TypeAlias = IPv4Address | IPv6Address

MAX_HOPS = 20
"""Proxies in a row that are looked at; nobody has more, and each costs time."""

_SCHEMES = {
    "http": {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"},
    "websocket": {b"http": "ws", b"https": "wss", b"ws": "ws", b"wss": "wss"},
}


class Proxies:
    """Those whose word counts."""

    __slots__ = ("_networks",)

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """``trusted``: addresses and networks of other machines. Raises ValueError."""
        self._networks = tuple(ip_network(entry) for entry in trusted)

    def trusts(self, host: str | None) -> bool:
        """Whether whoever connects from ``host`` may speak for others; None: a unix socket."""
        if host is None:
            return True
        address = _read(host)
        return address is not None and self._trusts(address)

    def client(self, scope: Scope) -> Address | None:
        """Return the address of the client, or of the last proxy that says no more.

        None: whoever it is came through a unix socket, or without an address.
        """
        host = _host(scope)
        address = None if host is None else _read(host)
        if not self.trusts(host):
            return address
        said = b",".join(_values(scope, b"x-forwarded-for")).decode("latin-1")
        for hop in reversed(said.rsplit(",", MAX_HOPS)):
            found = _read(_without_port(hop.strip()))
            if found is None:
                break
            address = found
            if not self._trusts(found):
                break
        return address

    def see_through(self, scope: Scope) -> None:
        """Write into ``scope`` what a trusted proxy says of the client."""
        host = _host(scope)
        if not self.trusts(host):
            return
        address = self.client(scope)
        if address is not None and str(address) != host:
            scope["client"] = (str(address), 0)
        said = b",".join(_values(scope, b"x-forwarded-proto"))
        # The last is that of the proxy before us.
        scheme = _SCHEMES[scope["type"]].get(said.rpartition(b",")[2].strip().lower())
        if scheme is not None:
            scope["scheme"] = scheme

    def _trusts(self, address: Address) -> bool:
        return address.is_loopback or any(address in network for network in self._networks)


class BehindProxies:
    """An application that learns who its clients are, whatever stands before it."""

    def __init__(self, application: AsgiApplication, proxies: Proxies) -> None:
        self._application = application
        self._proxies = proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one scope of any type. No coroutine of our own: one would stay with each socket."""
        if scope["type"] in _SCHEMES:
            self._proxies.see_through(scope)
        return self._application(scope, receive, send)


def _host(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _values(scope: Scope, name: bytes) -> Iterable[bytes]:
    return (value for key, value in scope["headers"] if key.lower() == name)


def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # One machine has one address, whichever way it is written.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
