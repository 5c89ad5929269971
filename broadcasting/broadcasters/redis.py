"""For laravel-echo-server: one Redis message for each channel, in the format of Laravel.

``OPTIONS``: ``url`` of the server; ``prefix``, which laravel-echo-server is told as ``keyPrefix``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from broadcasting.backplanes.background import background
from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.broadcasters.options import OptionError, Options
from broadcasting.conf import get_settings
from broadcasting.exceptions import BroadcasterUnavailable, EncryptionUnavailable, NotSupported
from broadcasting.outage import Outage
from broadcasting.protocol.names import ChannelKind, kind_of, user_of
from broadcasting.redis_clients import UNREACHABLE, URL_WANTED, RedisClients, is_url
from broadcasting.socket_ids import is_socket_io_id

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

logger = logging.getLogger("broadcasting.broadcasters")


class RedisBroadcaster(BaseBroadcaster):
    """Publish what laravel-echo-server hands on to its Socket.IO clients."""

    known_options: ClassVar[frozenset[str] | None] = frozenset({"url", "prefix"})
    dialect: ClassVar[str] = "socket.io"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        url = options.get("url")
        if not is_url(url):
            raise OptionError("redis", "url", URL_WANTED)
        self.clients = RedisClients(url)
        self.prefix = Options("redis", options).text("prefix")
        self._outage = Outage("Redis of a broadcaster")

    def check(self, broadcast: Broadcast) -> None:
        for channel in broadcast.channels:
            if kind_of(channel) is ChannelKind.ENCRYPTED:
                raise EncryptionUnavailable(f"{channel}: the 'redis' broadcaster cannot encrypt")
            if user_of(channel) is not None:
                # It would be public there.
                raise NotSupported(f"{channel}: nobody signs in to laravel-echo-server")

    def broadcast(self, broadcast: Broadcast) -> None:
        self.check(broadcast)
        self._allow()
        try:
            # One round trip, whatever the number of channels.
            with self.clients.client.pipeline(transaction=False) as pipe:
                for channel in broadcast.channels:
                    pipe.publish(self.prefix + channel, message(broadcast))
                pipe.execute()
        except UNREACHABLE as error:
            self._fail(error)
        self._outage.succeeded()

    async def abroadcast(self, broadcast: Broadcast) -> None:
        # Its connections belong to a loop; the caller's may be gone next second.
        self.check(broadcast)
        self._allow()
        sending = asyncio.wrap_future(background.submit(self._send(broadcast)))
        try:
            await sending
        except UNREACHABLE as error:
            self._fail(error)
        self._outage.succeeded()

    def close(self) -> None:
        self.clients.close()

    async def aclose(self) -> None:
        await self.clients.aclose_in_background()

    async def _send(self, broadcast: Broadcast) -> None:
        async with (
            asyncio.timeout(get_settings().publish_timeout),
            self.clients.lend() as client,
            client.pipeline(transaction=False) as pipe,
        ):
            for channel in broadcast.channels:
                pipe.publish(self.prefix + channel, message(broadcast))
            await pipe.execute()

    def _allow(self) -> None:
        if not self._outage.allows():
            raise BroadcasterUnavailable(f"{self.clients.place} did not answer a moment ago")

    def _fail(self, error: BaseException) -> None:
        self._outage.failed(error)
        reason = str(error) or type(error).__name__
        raise BroadcasterUnavailable(f"{self.clients.place} failed: {reason}") from error


def message(broadcast: Broadcast) -> str:
    """Return what laravel-echo-server expects: the data is no text here, but stands as it is."""
    except_socket = broadcast.except_socket
    if except_socket is not None and not is_socket_io_id(except_socket):
        logger.debug("Ignored a malformed socket id of %s", broadcast.event_label)
        except_socket = None
    name, socket = json.dumps(broadcast.name), json.dumps(except_socket)
    return f'{{"event":{name},"data":{broadcast.data},"socket":{socket}}}'
