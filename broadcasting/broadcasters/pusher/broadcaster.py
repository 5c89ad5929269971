"""The broadcaster ``pusher``: options, limits and what can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters.base import BaseBroadcaster, raise_first
from broadcasting.broadcasters.pusher import requests
from broadcasting.broadcasters.pusher.client import Client
from broadcasting.encryption import channel_key
from broadcasting.exceptions import BroadcastingError, NotSupported, PayloadError
from broadcasting.protocol.application import Application
from broadcasting.protocol.encryption import sealed_size
from broadcasting.protocol.names import ChannelKind, kind_of

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

MAX_DATA_BYTES = 10 * 1024
TIMEOUT = 5.0


class PusherBroadcaster(BaseBroadcaster):
    """Reach the sockets of another server, over HTTP.

    ``OPTIONS``: ``app_id``, ``key``, ``secret``; ``cluster`` or ``host``, ``port``,
    ``use_tls`` (True) and ``path`` (of a proxy); ``timeout`` in seconds;
    ``encryption_master_key``, 32 bytes in base64.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("app_id", "key", "secret", "cluster", "host", "port", "use_tls", "path"),
            *("timeout", "encryption_master_key"),
        }
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        if missing := [name for name in ("app_id", "key", "secret") if not options.get(name)]:
            raise ImproperlyConfigured(
                f"The broadcaster 'pusher' needs the options {', '.join(missing)}"
            )
        self.application = Application(
            id=str(options["app_id"]),
            key=options["key"],
            secret=options["secret"],
            encryption_master_key=options.get("encryption_master_key"),
        )
        timeout = options.get("timeout", TIMEOUT)
        if not isinstance(timeout, int | float) or timeout <= 0:
            raise ImproperlyConfigured("The option 'timeout' of 'pusher' is more than 0 seconds")
        self.client = Client(self.application, base_url(options), float(timeout))

    def check(self, broadcast: Broadcast) -> None:
        size = len(broadcast.data.encode("utf-8", "surrogatepass"))
        for name in broadcast.channels:
            if kind_of(name) is ChannelKind.ENCRYPTED:
                channel_key(self.application, name)
                size = max(size, sealed_size(len(broadcast.data.encode("utf-8", "surrogatepass"))))
        if size > MAX_DATA_BYTES:
            raise PayloadError(
                "payload", f"has {size / 1024:.1f} KB as sent, more than the 10 KB of Pusher"
            )

    def broadcast(self, broadcast: Broadcast) -> None:
        self.check(broadcast)
        for request in requests.events(self.application, broadcast):
            self.client.send(request)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.check(broadcast)
        for request in requests.events(self.application, broadcast):
            await self.client.asend(request)

    def broadcast_many(self, broadcasts: Sequence[Broadcast]) -> None:
        sound, errors = self._sound(broadcasts)
        for request in requests.batches(self.application, sound):
            try:
                self.client.send(request)
            except BroadcastingError as error:
                errors.append(error)
        raise_first(errors)

    async def abroadcast_many(self, broadcasts: Sequence[Broadcast]) -> None:
        sound, errors = self._sound(broadcasts)
        for request in requests.batches(self.application, sound):
            try:
                await self.client.asend(request)
            except BroadcastingError as error:
                errors.append(error)
        raise_first(errors)

    def channels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        return dict(self.client.send(requests.channels(prefix))["channels"])

    async def achannels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        return dict((await self.client.asend(requests.channels(prefix)))["channels"])

    def channel(self, name: str) -> dict[str, Any]:
        return dict(self.client.send(requests.channel(name)))

    async def achannel(self, name: str) -> dict[str, Any]:
        return dict(await self.client.asend(requests.channel(name)))

    def members(self, name: str) -> list[str]:
        return [str(user["id"]) for user in self.client.send(requests.members(name))["users"]]

    async def amembers(self, name: str) -> list[str]:
        answer = await self.client.asend(requests.members(name))
        return [str(user["id"]) for user in answer["users"]]

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        self._check_session(session)
        self.client.send(requests.disconnect(user_id, reconnect=reconnect))

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        self._check_session(session)
        await self.client.asend(requests.disconnect(user_id, reconnect=reconnect))

    def _check_session(self, session: str | None) -> None:
        if session is not None:
            raise NotSupported("Over HTTP a user's sessions cannot be told apart")

    def revoke(self, user_id: str, channel: str) -> None:
        self.client.send(requests.revoke(user_id, channel))

    async def arevoke(self, user_id: str, channel: str) -> None:
        await self.client.asend(requests.revoke(user_id, channel))

    def close(self) -> None:
        self.client.close()

    async def aclose(self) -> None:
        await self.client.aclose()

    def _sound(self, broadcasts: Iterable[Broadcast]) -> tuple[list[Broadcast], list[Exception]]:
        """Return those that may be sent, and why the others may not."""
        sound: list[Broadcast] = []
        errors: list[Exception] = []
        for broadcast in broadcasts:
            try:
                self.check(broadcast)
            except BroadcastingError as error:
                errors.append(error)
            else:
                sound.append(broadcast)
        return sound, errors


def base_url(options: Mapping[str, Any]) -> str:
    """Return where the API is: at ``host``, or else at Pusher's ``cluster``."""
    secure = options.get("use_tls", True)
    host = options.get("host") or f"api-{options.get('cluster') or 'mt1'}.pusher.com"
    port = options.get("port") or (443 if secure else 80)
    path = str(options.get("path") or "").strip("/")
    return f"{'https' if secure else 'http'}://{host}:{port}{path and '/' + path}"
