"""Envelopes over any Channels layer, channels-redis pub/sub first.

A node owns ONE layer channel and joins a group per topic that it has listeners for, so a
broadcast costs each node one message, however many sockets it holds. Pusher names hold
characters that layers refuse, so group names are hashes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, ClassVar

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers
from django.core.exceptions import ImproperlyConfigured

from broadcasting.backplanes.base import GapEnded, Receiver, Subscription
from broadcasting.backplanes.envelope import Envelope, UnreadableEnvelope, decode, encode
from broadcasting.backplanes.remote import Carrier, RemoteBackplane
from broadcasting.ending import end
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.forking import ForkSafeLock

logger = logging.getLogger("broadcasting.backplane")

MESSAGE_TYPE = "broadcasting.envelope"


def group_name(app_id: str, channel: str) -> str:
    """Return the layer group of one topic."""
    # A line feed can stand in neither part, so no two topics share a text.
    return "broadcasting." + sha256(f"{app_id}\n{channel}".encode()).hexdigest()[:40]


class ChannelLayerBackplane(RemoteBackplane):
    """``OPTIONS``: ``alias`` of CHANNEL_LAYERS; ``join_timeout`` and ``retry_delay``, seconds."""

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {"alias", "join_timeout", "retry_delay"}
    )

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.alias: str = options.get("alias", DEFAULT_CHANNEL_LAYER)
        self._making = ForkSafeLock()

    @property
    def place(self) -> str:
        return f"The channel layer {self.alias!r}"

    @property
    def layer(self) -> Any:
        """The Channels layer; raises ImproperlyConfigured if there is none."""
        try:
            # Of two threads that come first, each would make one, and one would be lost.
            with self._making:
                return channel_layers[self.alias]
        except KeyError:
            raise ImproperlyConfigured(
                f"BROADCASTING['BACKPLANE']: CHANNEL_LAYERS has no alias {self.alias!r}"
            ) from None

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> LayerSubscription:
        self._node_loop = asyncio.get_running_loop()
        return LayerSubscription(self, receive, on_gap)

    def _carrier(self, envelope: Envelope) -> Carrier:
        # Found at once, since the layer's import may take longer than a publish.
        send = self.layer.group_send
        message = {"type": MESSAGE_TYPE, "envelope": encode(envelope)}
        return partial(send, group_name(envelope.app_id, envelope.channel), message)


class LayerSubscription(Subscription):
    """One node's layer channel, its groups, and the task that reads it."""

    def __init__(
        self, backplane: ChannelLayerBackplane, receive: Receiver, on_gap: GapEnded | None
    ) -> None:
        self._backplane = backplane
        self._receive = receive
        self._on_gap = on_gap
        self._failed: str | None = None
        """What made the layer's last receive() fail."""

        self._channel: str | None = None
        self._groups: set[str] = set()
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    @property
    def problem(self) -> str | None:
        return self._failed

    async def join(self, app_id: str, channel: str) -> None:
        group = group_name(app_id, channel)
        # From here on it is left when the node leaves.
        self._groups.add(group)
        try:
            await self._bounded(self._join(group))
        except BaseException:
            self._groups.discard(group)
            raise

    async def leave(self, app_id: str, channel: str) -> None:
        group = group_name(app_id, channel)
        self._groups.discard(group)
        if self._channel is not None:
            await self._bounded(self._backplane.layer.group_discard(group, self._channel))

    async def close(self) -> None:
        self._closed = True
        if await end(self._tasks, self._backplane.join_timeout):
            logger.warning("The channel layer does not end what it does for a node that leaves")
        if self._channel is not None:
            # Nobody hears them any more: best effort, and the layer forgets them in time.
            with contextlib.suppress(BackplaneUnavailable):
                await self._bounded(self._leave_all(self._channel))
        self._groups.clear()

    async def _leave_all(self, channel: str) -> None:
        for group in tuple(self._groups):
            await self._backplane.layer.group_discard(group, channel)

    async def _join(self, group: str) -> None:
        layer = self._backplane.layer
        async with self._opening:
            self._check_open()
            if self._channel is None:
                channel = await layer.new_channel("broadcasting.")
                self._check_open()
                self._channel = channel
                self._spawn(self._read(channel))
                # Layers that store groups forget them after a day; pub/sub ones never do.
                if expiry := getattr(layer, "group_expiry", None):
                    self._spawn(self._renew(expiry / 2))
        await layer.group_add(group, self._channel)
        if self._closed:  # close() was there first
            await layer.group_discard(group, self._channel)
            self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise BackplaneUnavailable("The node has left the channel layer")

    def _spawn(self, work: Awaitable[Any]) -> asyncio.Future[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _bounded(self, call: Awaitable[Any]) -> None:
        try:
            async with asyncio.timeout(self._backplane.join_timeout):
                await call
        except Exception as error:  # each layer raises its own transport's errors
            reason = str(error) or type(error).__name__
            raise BackplaneUnavailable(f"The channel layer failed: {reason}") from error

    async def _read(self, channel: str) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            began = loop.time()
            try:
                message = await self._next(channel)
            except Exception as error:
                # Layers that poll let their client's read time out while nothing comes; what
                # is broken fails at once, at the latest when it is tried again.
                if loop.time() - began < self._backplane.retry_delay:
                    self._note_failure(error)
                    await asyncio.sleep(self._backplane.retry_delay)
                continue
            self._note_success()
            try:
                self._receive(decode(message["envelope"]))
            except (UnreadableEnvelope, KeyError, TypeError) as error:
                self._backplane.unreadable += 1
                logger.warning("Dropped an envelope that cannot be read: %s", error)
            except Exception:  # the node must go on reading, whatever one envelope did
                logger.exception("An envelope could not be delivered")

    async def _next(self, channel: str) -> Any:
        receiving = self._backplane.layer.receive(channel)
        if self._failed is None:
            return await receiving
        task = self._spawn(receiving)
        try:
            # Nothing may come for hours: what does not fail for as long as this works again.
            if not (await asyncio.wait({task}, timeout=self._backplane.retry_delay))[0]:
                self._note_success()
            return await task
        finally:
            task.cancel()

    def _note_failure(self, error: Exception) -> None:
        if self._failed is None:
            self.gaps += 1
            logger.warning("Cannot read from the channel layer, trying again: %s", error)
        self._failed = str(error) or type(error).__name__

    def _note_success(self) -> None:
        if self._failed is None:
            return
        self._failed = None
        logger.warning("The channel layer can be read again")
        if self._on_gap is not None:
            try:
                self._on_gap()
            except Exception:  # the node must go on reading
                logger.exception("A node could not be told of the end of a gap")

    async def _renew(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            for group in tuple(self._groups):
                try:
                    await self._bounded(self._renew_one(group))
                except BackplaneUnavailable as error:
                    logger.warning("Cannot renew a group: %s", error)

    async def _renew_one(self, group: str) -> None:
        layer = self._backplane.layer
        if group in self._groups:
            await layer.group_add(group, self._channel)
            if group not in self._groups:  # it was left meanwhile
                await layer.group_discard(group, self._channel)
                if group in self._groups:  # and joined again
                    await layer.group_add(group, self._channel)
