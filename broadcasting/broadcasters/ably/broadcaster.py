"""The broadcaster ``ably``: options, and what can be sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from broadcasting.broadcasters.ably import tokens
from broadcasting.broadcasters.ably.client import Client, Request, requests
from broadcasting.broadcasters.ably.names import read_key
from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.broadcasters.options import Options
from broadcasting.exceptions import BroadcastRefused, EncryptionUnavailable, NotSupported
from broadcasting.protocol.names import ChannelKind, kind_of, user_of

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

logger = logging.getLogger("broadcasting.broadcasters")

HOST = "main.realtime.ably.net"
TIMEOUT = 5.0
TOKEN_SECONDS = 8 * 60 * 60


class AblyBroadcaster(BaseBroadcaster):
    """Reach the clients of an application at Ably.

    ``OPTIONS``: ``key``, as Ably shows it (``app.key:secret``); ``disable_public_channels``
    (False); ``token_expiry`` in seconds (28800); ``timeout`` in seconds; ``host``, ``port`` and
    ``use_tls``, for another address than Ably's own.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("key", "disable_public_channels", "token_expiry"),
            *("timeout", "host", "port", "use_tls"),
        }
    )
    dialect: ClassVar[str] = "ably"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        read = Options("ably", options)
        self.key = read_key(options)
        self.allows_public = not read.switch("disable_public_channels", False)
        self.token_seconds = int(read.seconds("token_expiry", TOKEN_SECONDS))
        self.client = Client(self.key, _base_url(read), read.seconds("timeout", TIMEOUT))

    def check(self, broadcast: Broadcast) -> None:
        for channel in broadcast.channels:
            if kind_of(channel) is ChannelKind.ENCRYPTED:
                raise EncryptionUnavailable(f"{channel}: the 'ably' broadcaster cannot encrypt")
            if user_of(channel) is not None:
                # It would be public there.
                raise NotSupported(f"{channel}: at Ably nobody signs in; use a private channel")

    def broadcast(self, broadcast: Broadcast) -> None:
        self.check(broadcast)
        for request in requests(broadcast):
            try:
                self.client.send(request)
            except BroadcastRefused as refusal:
                self.client.send(_to_everyone(request, refusal))

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.check(broadcast)
        for request in requests(broadcast):
            try:
                await self.client.asend(request)
            except BroadcastRefused as refusal:
                await self.client.asend(_to_everyone(request, refusal))

    def token(self, grant: tokens.Grant) -> str:
        """Return the token that lets a client in."""
        return tokens.write(self.key, grant)

    def granted(self, token: str) -> tokens.Grant | None:
        """Return what a token of ours still grants. Raises MalformedToken."""
        return tokens.read(self.key, token)

    def close(self) -> None:
        self.client.close()

    async def aclose(self) -> None:
        await self.client.aclose()


def _to_everyone(request: Request, refusal: BroadcastRefused) -> Request:
    """Return the request without whom it leaves out; raise ``refusal`` if that is nobody.

    Ably refuses connections that are gone or somebody else's. Which one is left out comes from
    a browser, which must not keep an event from all the others.
    """
    if "connectionKey" not in request.content:
        raise refusal
    logger.debug("Sent to everyone, since Ably refused a connection: %s", refusal.status)
    left = {"connectionKey", "clientId"}
    content = {key: value for key, value in request.content.items() if key not in left}
    return Request(path=request.path, content=content)


def _base_url(read: Options) -> str:
    secure = read.switch("use_tls", True)
    port = read.port(443 if secure else 80)
    return f"{'https' if secure else 'http'}://{read.host() or HOST}:{port}"
