"""How many sockets each address has here, where that is limited."""

from __future__ import annotations

import logging
from ipaddress import IPv6Address, IPv6Network

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import TooManyFromAddress
from broadcasting.server.proxies import Address, Proxies
from broadcasting.server.speaking import OnceEach
from broadcasting.typing import Scope

logger = logging.getLogger("broadcasting.server")


class Addresses:
    """The sockets of one node, by address; without a limit nothing is counted."""

    __slots__ = ("_limit", "_proxies", "_reported", "_sockets")

    def __init__(self, settings: ServerSettings) -> None:
        self._limit = settings.max_connections_per_ip
        self._proxies = Proxies(settings.trusted_proxies)
        self._sockets: dict[str, int] = {}
        self._reported = OnceEach()

    def __len__(self) -> int:
        return len(self._sockets)

    def enter(self, scope: Scope) -> str | None:
        """Count a socket, and return where it is counted. Raises TooManyFromAddress."""
        if self._limit is None:
            return None
        address = self._proxies.client(scope)
        if address is None:
            return None
        place = _place(address)
        held = self._sockets.get(place, 0)
        if held >= self._limit:
            self._report(place)
            raise TooManyFromAddress
        self._sockets[place] = held + 1
        return place

    def leave(self, place: str | None) -> None:
        """Forget a socket that ``enter`` has counted."""
        if place is None:
            return
        self._sockets[place] -= 1
        if not self._sockets[place]:
            del self._sockets[place]

    def _report(self, place: str) -> None:
        if not self._reported.is_new(place):
            return
        logger.warning(
            "Refused a socket from %s, which has %s already. If that is a proxy, add it to"
            " BROADCASTING['SERVER']['TRUSTED_PROXIES'] and let it send X-Forwarded-For",
            place,
            self._limit,
        )


def _place(address: Address) -> str:
    # Whoever has an IPv6 address has 2**64 of them.
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address)
