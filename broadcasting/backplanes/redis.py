"""Envelopes over the pub/sub of Redis or Valkey, through redis-py and nothing else.

A node subscribes to one topic for each channel that it has listeners for. Sync code
publishes through a sync client, in its own thread; async code through an async one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from broadcasting.backplanes.base import GapEnded, Receiver, Subscription
from broadcasting.backplanes.envelope import Envelope, UnreadableEnvelope, decode, encode
from broadcasting.backplanes.redis_commands import RedisCommands
from broadcasting.backplanes.remote import PLACE, Carrier, RemoteBackplane, seconds
from broadcasting.conf import get_settings
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.redis_clients import UNREACHABLE, URL_WANTED, RedisClients, is_url

logger = logging.getLogger("broadcasting.backplane")

DEFAULT_PREFIX = "broadcasting"

TOPICS_AT_ONCE = 1000
"""Topics that are asked for together on a new connection. A server keeps what it confirms until
it is read, and drops whoever leaves too much of it (32 MB, of all its topics) unread."""


class RedisBackplane(RemoteBackplane):
    """``OPTIONS``: ``url`` of the server; ``prefix`` of the topics, one for each site.

    ``join_timeout`` and ``retry_delay`` are seconds; after ``idle_timeout`` seconds of silence
    the server is asked whether it is still there.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {"url", "prefix", "join_timeout", "retry_delay", "idle_timeout"}
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        url = options.get("url")
        if not is_url(url):
            raise ImproperlyConfigured(f"{PLACE}['url'] {URL_WANTED}")
        self.url: str = url
        prefix = options.get("prefix", DEFAULT_PREFIX)
        if not isinstance(prefix, str):
            raise ImproperlyConfigured(f"{PLACE}['prefix'] must be text")
        self.prefix = prefix
        self.idle_timeout = seconds(options, "idle_timeout", 15.0)
        self.gaps = 0
        """How often a node of this process lost its subscriptions, and what came meanwhile."""

        self._clients = RedisClients(self.url)
        self._commands = RedisCommands(self.url, get_settings().publish_timeout)
        self._beginnings: dict[str, str] = {}

    @property
    def place(self) -> str:
        return self._clients.place

    def topic(self, app_id: str, channel: str) -> str:
        """Return the name under which the envelopes of one channel travel."""
        beginning = self._beginnings.get(app_id)
        if beginning is None:
            # An id may hold a colon; quoted, no two topics share a text.
            beginning = f"{self.prefix}:{quote(app_id, safe='')}:"
            self._beginnings[app_id] = beginning
        return beginning + channel

    def publish(self, envelope: Envelope) -> None:
        self._check()
        try:
            topic = self.topic(envelope.app_id, envelope.channel)
            self._commands.run("PUBLISH", topic, encode(envelope))
        except UNREACHABLE as error:
            self._failed(error)
        self._outage.succeeded()

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> RedisSubscription:
        self._node_loop = asyncio.get_running_loop()
        return RedisSubscription(self, receive, on_gap)

    async def release(self) -> None:
        """Close the client of the running loop, whose node is gone."""
        await self._clients.aclose()

    def make_connection(self) -> AbstractConnection:
        """Return a connection, not open yet, for a node's subscriptions; it waits without end."""
        pool = ConnectionPool.from_url(
            self.url,
            socket_timeout=None,
            socket_connect_timeout=self.join_timeout,
            retry=AsyncRetry(NoBackoff(), 0),
        )
        # Whatever the URL says, which goes before arguments: bytes, in the older form of answers,
        # in which what is published looks like all others.
        pool.connection_kwargs |= {"protocol": 2, "decode_responses": False}
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    def _carrier(self, envelope: Envelope) -> Carrier:
        topic, text = self.topic(envelope.app_id, envelope.channel), encode(envelope)
        return partial(self._publish, topic, text)

    async def _publish(self, topic: str, text: str) -> None:
        await self._clients.of_loop().publish(topic, text)


class RedisSubscription(Subscription):
    """One node's connection to the server, its topics, and the task that reads them."""

    def __init__(
        self, backplane: RedisBackplane, receive: Receiver, on_gap: GapEnded | None
    ) -> None:
        self._backplane = backplane
        self._receive = receive
        self._on_gap = on_gap
        self._lost: str | None = None
        """What ended the connection that was heard last."""

        self._topics: set[str] = set()
        self._asked: dict[str, asyncio.Future[None]] = {}
        """Topics whose subscription the server has not confirmed yet."""

        # Without redis-py's PubSub, which connects again by itself, from two tasks at once.
        self._connection: AbstractConnection | None = None
        self._is_open = asyncio.Event()
        self._commanding = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def problem(self) -> str | None:
        return self._lost

    async def join(self, app_id: str, channel: str) -> None:
        topic = self._backplane.topic(app_id, channel)
        # From here on a new connection asks for it as well.
        self._topics.add(topic)
        confirmed = asyncio.get_running_loop().create_future()
        self._asked[topic] = confirmed
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await self._open()
                # A connection that is lost is followed by one that asks for all topics.
                with contextlib.suppress(*UNREACHABLE):
                    await self._command("SUBSCRIBE", topic)
                await confirmed
        except UNREACHABLE as error:
            self._topics.discard(topic)
            raise self._unavailable(error) from error
        finally:
            self._asked.pop(topic, None)

    async def leave(self, app_id: str, channel: str) -> None:
        topic = self._backplane.topic(app_id, channel)
        self._topics.discard(topic)
        if self._connection is None:  # nor will a new connection ask for it
            return
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await self._command("UNSUBSCRIBE", topic)
        except UNREACHABLE as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        self._closed = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._topics.clear()
        await self._backplane.release()

    async def _open(self) -> None:
        if self._closed:
            raise BackplaneUnavailable("The node has left Redis")
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        await self._is_open.wait()

    async def _command(self, *words: str) -> None:
        async with self._commanding:
            # A command to a connection that is closed would open another one.
            if self._connection is None or not self._connection.is_connected:
                raise ConnectionError("the connection was lost")
            await self._connection.send_command(*words, check_health=False)

    def _unavailable(self, error: BaseException) -> BackplaneUnavailable:
        reason = str(error) or type(error).__name__
        return BackplaneUnavailable(f"{self._backplane.place} failed: {reason}")

    async def _read(self) -> None:
        retry_delay, heard = self._backplane.retry_delay, False
        while not self._closed:
            try:
                heard = heard or bool(self._topics)
                await self._listen()
            except Exception as error:  # nonsense of a server, too, must not make the node deaf
                if heard:
                    self.gaps += 1
                    self._backplane.gaps += 1
                self._lost = str(error) or type(error).__name__
                logger.warning(
                    "%s: lost what %s channels are told, trying again: %s",
                    self._backplane.place,
                    len(self._topics),
                    str(error) or type(error).__name__,
                )
            # Not all nodes at the same moment, and all of them before publishers try again.
            await asyncio.sleep(retry_delay * random.uniform(0.2, 0.8))  # noqa: S311

    async def _listen(self) -> None:
        """Read until the connection is lost. Raises what the server or the client is wrong in."""
        self._connection = connection = self._backplane.make_connection()
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
            # A topic of its own, so that the server always has something to keep it for.
            await self._ask_for(connection, [f"{self._backplane.prefix}::"])
            topics = tuple(self._topics)
            for start in range(0, len(topics), TOPICS_AT_ONCE):
                some = topics[start : start + TOPICS_AT_ONCE]
                # Some may have been left while the others were asked for.
                await self._ask_for(connection, [topic for topic in some if topic in self._topics])
            self._is_open.set()
            self._heard_again()
            while True:
                await self._take_one(connection)
        finally:
            self._is_open.clear()
            async with self._commanding:
                self._connection = None
                with contextlib.suppress(*UNREACHABLE):
                    await connection.disconnect()

    def _heard_again(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None and self.gaps and self._on_gap is not None:
            self._on_gap()

    async def _ask_for(self, connection: AbstractConnection, topics: list[str]) -> None:
        """Return once the server has confirmed ``topics``."""
        if not topics:
            return
        async with asyncio.timeout(self._backplane.join_timeout):
            await self._command("SUBSCRIBE", *topics)
        confirmed = 0
        while confirmed < len(topics):
            confirmed += await self._take_one(connection) == b"subscribe"

    async def _take_one(self, connection: AbstractConnection) -> object:
        """Take what the server says next, and return the kind of it."""
        idle_timeout = self._backplane.idle_timeout
        answer = await connection.read_response(timeout=idle_timeout, disconnect_on_error=False)
        if answer is None:
            await self._command("PING")
            answer = await connection.read_response(timeout=idle_timeout, disconnect_on_error=False)
        if answer is None:
            raise TimeoutError("the server is silent")
        self._take(*answer)
        return answer[0]

    def _take(self, kind: bytes, topic: bytes, content: bytes | int = 0) -> None:
        if kind == b"subscribe":
            asked = self._asked.get(topic.decode())
            if asked is not None and not asked.done():
                asked.set_result(None)
        if kind != b"message" or not isinstance(content, bytes):
            return
        try:
            self._receive(decode(content))
        except UnreadableEnvelope as error:
            self._backplane.unreadable += 1
            logger.warning("Dropped an envelope that cannot be read: %s", error)
        except Exception:  # the node must go on reading, whatever one envelope did
            logger.exception("An envelope could not be delivered")
