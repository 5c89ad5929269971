"""The broadcaster ``pusher``: options, limits and what can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from broadcasting.broadcasters.base import BaseBroadcaster
from broadcasting.broadcasters.limits import check_names
from broadcasting.broadcasters.options import Options
from broadcasting.broadcasters.pusher import requests
from broadcasting.broadcasters.pusher.batching import Batching
from broadcasting.broadcasters.pusher.client import Client
from broadcasting.encryption import channel_key
from broadcasting.exceptions import (
    BroadcasterUnavailable,
    BroadcastingError,
    NotSupported,
    PayloadError,
)
from broadcasting.protocol.application import Application
from broadcasting.protocol.encryption import read_master_key, sealed_size
from broadcasting.protocol.names import MAX_NAME_LENGTH, ChannelKind, kind_of

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast

MAX_DATA_BYTES = 10 * 1024
MAX_CHANNEL_NAME_AT_PUSHER = 164
"""Characters; servers of its kind, and Pusher's own libraries, take 200."""

TIMEOUT = 5.0


class PusherBroadcaster(BaseBroadcaster):
    """Reach the sockets of another server, over HTTP.

    ``OPTIONS``: ``app_id``, ``key``, ``secret``; ``cluster`` or ``host``, ``port``,
    ``use_tls`` (True) and ``path`` (of a proxy); ``timeout`` in seconds;
    ``encryption_master_key``, 32 bytes in base64; ``ours`` (False): whether that server is one
    of this package, which is told whose private channels are, so that they can be revoked.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("app_id", "key", "secret", "cluster", "host", "port", "use_tls", "path"),
            *("timeout", "encryption_master_key", "ours"),
        }
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        read = Options("pusher", options)
        self.application = _application(read, options)
        read.switch("ours", False)
        self.client = Client(self.application, _base_url(read), read.seconds("timeout", TIMEOUT))

    def check(self, broadcast: Broadcast) -> None:
        check_names(
            broadcast,
            channel=self.application.max_channel_name_length,
            event=self.application.max_event_name_length,
        )
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
        batches = Batching(self.application, broadcasts, self.check)
        for together in batches:
            try:
                self.client.send(requests.batch(together))
            except BroadcastingError as error:
                batches.failed(together, error)
        batches.finish()

    async def abroadcast_many(self, broadcasts: Sequence[Broadcast]) -> None:
        batches = Batching(self.application, broadcasts, self.check)
        for together in batches:
            try:
                await self.client.asend(requests.batch(together))
            except BroadcastingError as error:
                batches.failed(together, error)
        batches.finish()

    def channels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        with self._reading():
            return dict(self.client.send(requests.channels(prefix))["channels"])

    async def achannels(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        with self._reading():
            return dict((await self.client.asend(requests.channels(prefix)))["channels"])

    def channel(self, name: str) -> dict[str, Any]:
        with self._reading():
            return dict(self.client.send(requests.channel(name)))

    async def achannel(self, name: str) -> dict[str, Any]:
        with self._reading():
            return dict(await self.client.asend(requests.channel(name)))

    def members(self, name: str) -> list[str]:
        with self._reading():
            return _ids(self.client.send(requests.members(name)))

    async def amembers(self, name: str) -> list[str]:
        with self._reading():
            return _ids(await self.client.asend(requests.members(name)))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise BroadcasterUnavailable(
                f"{self.client.base_url} answered something else than Pusher's API does"
            ) from error

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


def _ids(answer: Any) -> list[str]:
    return [str(user["id"]) for user in answer["users"]]


def base_url(options: Mapping[str, Any]) -> str:
    """Return where the API is: at ``host``, or else at Pusher's ``cluster``.

    Raises OptionError.
    """
    return _base_url(Options("pusher", options))


def _base_url(read: Options) -> str:
    secure = read.switch("use_tls", True)
    cluster = read.text("cluster").strip() or "mt1"
    if not cluster.replace("-", "").isalnum():
        raise read.error("cluster", "must be its name alone, as 'eu'")
    host = read.host() or f"api-{cluster}.pusher.com"
    port = read.port(443 if secure else 80)
    path = read.text("path").strip("/")
    if any(sign in "?#" or sign.isspace() for sign in path):
        raise read.error("path", "must be a path alone, as '/ws'")
    return f"{'https' if secure else 'http'}://{host}:{port}{path and '/' + path}"


def _application(read: Options, options: Mapping[str, Any]) -> Application:
    app_id = options.get("app_id")
    is_number = isinstance(app_id, int) and not isinstance(app_id, bool)
    return Application(
        id=str(app_id) if is_number else read.needed_text("app_id"),
        key=read.needed_text("key"),
        secret=read.needed_text("secret"),
        encryption_master_key=_master_key(read),
        max_channel_name_length=MAX_NAME_LENGTH if read.host() else MAX_CHANNEL_NAME_AT_PUSHER,
    )


def _master_key(read: Options) -> str | None:
    text = read.text("encryption_master_key")
    if not text:
        return None
    try:
        read_master_key(text)
    except ValueError as error:
        raise read.error("encryption_master_key", "must be 32 bytes in base64") from error
    return text
