"""Envelopes over the pub/sub of Redis or Valkey, through redis-py and nothing else.

A node subscribes to one topic for each channel that it has listeners for. Sync code
publishes through a sync client, in its own thread; async code through an async one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from django.core.exceptions import ImproperlyConfigured

from broadcasting.backplanes.base import GapEnded, Receiver
from broadcasting.backplanes.envelope import Envelope, encode
from broadcasting.backplanes.redis_commands import RedisCommands, commands_to
from broadcasting.backplanes.redis_master import MasterPublisher
from broadcasting.backplanes.redis_routes import OneServer, Shards
from broadcasting.backplanes.redis_shards import ShardPublisher
from broadcasting.backplanes.redis_subscription import RedisSubscription
from broadcasting.backplanes.remote import PLACE, Carrier, RemoteBackplane, seconds
from broadcasting.conf import get_settings
from broadcasting.outage import Outage
from broadcasting.redis_clients import SERVER_OPTIONS, UNREACHABLE, RedisClients, server_of
from broadcasting.sites import site_names

logger = logging.getLogger("broadcasting.backplane")

DEFAULT_PREFIX = "broadcasting"

MOST_STRANGERS = 100
"""Other sites that are told of, once each."""


class RedisBackplane(RemoteBackplane):
    """``OPTIONS``: which server, see broadcasting.redis_clients; ``prefix`` of the topics.

    ``join_timeout`` and ``retry_delay`` are seconds; after ``idle_timeout`` seconds of silence
    the server is asked whether it is still there. Without a ``prefix`` envelopes say which site
    they are of, and those of another are not heard.
    """

    known_options: ClassVar[frozenset[str] | None] = SERVER_OPTIONS | {
        *("prefix", "join_timeout", "retry_delay", "idle_timeout")
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.server = server_of(options, PLACE)
        prefix = options.get("prefix", DEFAULT_PREFIX)
        if not isinstance(prefix, str) or not prefix or "{" in prefix or "}" in prefix:
            raise ImproperlyConfigured(f"{PLACE}['prefix'] must be text, without braces")
        self.prefix = prefix
        self._signature = () if "prefix" in options else site_names()
        self.sites = frozenset(self._signature)
        """What this site is called in envelopes; empty: its prefix was chosen."""

        self.idle_timeout = seconds(options, "idle_timeout", 5.0)
        self.gaps = 0
        """How often a node of this process lost its subscriptions, and what came meanwhile."""

        self.foreign = 0
        """Envelopes of other sites that use the same prefix, which were not delivered."""

        self._strangers: set[tuple[str, ...]] = set()
        self._clients = RedisClients(self.server)
        self._shards: ShardPublisher | None = None
        self._commands: RedisCommands | None = None
        self._say: Callable[[str, str], Awaitable[object]]
        if self.server.cluster:
            self._shards = ShardPublisher(self._clients, self.retry_delay)
            self._say = self._shards.publish
        else:
            self._commands = commands_to(self.server, get_settings().publish_timeout)
            self._say = partial(self._clients.run, "PUBLISH")
            if self.server.sentinels:
                self._say = MasterPublisher(self._clients).publish
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
        if self._commands is None:
            # A Cluster's shards are looked up, and one after the other may be silent: only a
            # loop can bound all of that.
            super().publish(envelope)
            return
        self._check(self._outage)
        try:
            topic = self.topic(envelope.app_id, envelope.channel)
            self._commands.run("PUBLISH", topic, self._written(envelope))
        except UNREACHABLE as error:
            self._failed(error, self._outage)
        self._outage.succeeded()

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> RedisSubscription:
        self._node_loop = asyncio.get_running_loop()
        kind = Shards if self.server.cluster else OneServer
        return RedisSubscription(self, kind(self.server, self.join_timeout), receive, on_gap)

    def ours(self, envelope: Envelope) -> Envelope | None:
        """Return ``envelope`` as it was published; None if another site did."""
        if not envelope.sites:  # of a site whose prefix was chosen, or of an older version
            return envelope
        if not self.sites.isdisjoint(envelope.sites):
            return msgspec.structs.replace(envelope, sites=())
        self.foreign += 1
        if envelope.sites not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(envelope.sites)
            logger.warning(
                "%s: dropped what another site published, with a SECRET_KEY of its own. Give each"
                " site a 'prefix' in OPTIONS; processes of one site have the same in common",
                self.place,
            )
        return None

    async def release(self) -> None:
        """Close the client of the running loop, whose node is gone."""
        if self._shards is not None:
            await self._shards.stop()
        await self._clients.aclose()

    def _written(self, envelope: Envelope) -> str:
        if self.sites:
            envelope = msgspec.structs.replace(envelope, sites=self._signature)
        return encode(envelope)

    def _outage_of(self, envelope: Envelope) -> Outage:
        if self._shards is None:
            return self._outage
        return self._shards.outage_of(self.topic(envelope.app_id, envelope.channel))

    def _carrier(self, envelope: Envelope) -> Carrier:
        topic, text = self.topic(envelope.app_id, envelope.channel), self._written(envelope)
        return partial(self._say, topic, text)
