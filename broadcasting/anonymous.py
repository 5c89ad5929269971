"""Broadcasts without a class of their own: ``broadcasting.on("orders.1").as_("Placed").send()``.

An ordinary event underneath, so that transactions, queues and fakes treat it as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import msgspec

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.channels import Channel, PresenceChannel, PrivateChannel, Target, as_channels
from broadcasting.dispatching import Dispatch
from broadcasting.events import ShouldBroadcast
from broadcasting.protocol.names import ChannelKind


@dataclass
class AnonymousEvent(ShouldBroadcast):
    """What an anonymous broadcast dispatches; its name is its own unless ``as_()`` gives one."""

    _channels: tuple[Channel, ...] = ()
    _name: str | Enum | None = None
    _payload: Any = field(default_factory=dict)

    def broadcast_on(self) -> tuple[Channel, ...]:
        return self._channels

    def broadcast_as(self) -> str | Enum | None:
        return self._name

    def broadcast_with(self) -> Any:
        return self._payload


@dataclass(frozen=True, slots=True)
class AnonymousBroadcast:
    """A broadcast in the making. Each method returns a copy; only the last one sends.

    As Laravel's ``Broadcast::on()``, with ``as_`` and ``with_`` where Python has keywords.
    """

    _dispatch: Dispatch

    def as_(self, name: str | Enum) -> AnonymousBroadcast:
        """Call the event ``name``; without it clients get ``AnonymousEvent``."""
        return self._replace(_name=name)

    def with_(self, payload: Any = None, /, **data: Any) -> AnonymousBroadcast:
        """Carry ``payload`` (what ``broadcast_with()`` may return), or the keywords, or both.

        Raises TypeError for keywords beside something that is no mapping.
        """
        if payload is None:
            payload = data
        elif data:
            if not isinstance(payload, Mapping):
                raise TypeError(f"with_() cannot add keywords to a {type(payload).__name__}")
            payload = {**payload, **data}
        return self._replace(_payload=payload)

    def to_others(self, socket_id: str | None = None) -> AnonymousBroadcast:
        """Leave out the tab that asked (``X-Socket-ID``), or the one with ``socket_id``."""
        return AnonymousBroadcast(self._dispatch.to_others(socket_id))

    def via(self, *broadcasters: str | BaseBroadcaster) -> AnonymousBroadcast:
        """Send through these aliases of ``BROADCASTERS``, or what ``broadcasters.build()`` made."""
        return AnonymousBroadcast(self._dispatch.via(*broadcasters))

    def on_queue(self, name: str) -> AnonymousBroadcast:
        """Push on this queue instead of the default one."""
        return AnonymousBroadcast(self._dispatch.on_queue(name))

    def delay(self, seconds: float) -> AnonymousBroadcast:
        """Send ``seconds`` later, through a queue that can wait (not ``sync``)."""
        return AnonymousBroadcast(self._dispatch.delay(seconds))

    def send(self) -> None:
        """Send after the commit, through the queue. Raises what ``dispatch()`` of an event does."""
        self._dispatch.dispatch()

    async def asend(self) -> None:
        """See send()."""
        await self._dispatch.adispatch()

    def send_now(self) -> None:
        """Send after the commit, in this process."""
        self._dispatch.now().dispatch()

    async def asend_now(self) -> None:
        """See send_now()."""
        await self._dispatch.now().adispatch()

    def _replace(self, **changes: Any) -> AnonymousBroadcast:
        event = replace(self._dispatch.event, **changes)
        return AnonymousBroadcast(msgspec.structs.replace(self._dispatch, event=event))


def on(*channels: Target) -> AnonymousBroadcast:
    """Begin a broadcast on channels: each a wire name, a channel, or a model.

    Raises InvalidChannelName, and TypeError where there is no channel at all.
    """
    if not channels:
        raise TypeError("on() needs at least one channel")
    return AnonymousBroadcast(Dispatch(AnonymousEvent(as_channels(channels))))


def private(name: Any) -> AnonymousBroadcast:
    """Begin a broadcast on one private channel, named without its prefix or by a model."""
    return on(PrivateChannel(_unprefixed(name, ChannelKind.PRIVATE)))


def presence(name: Any) -> AnonymousBroadcast:
    """Begin a broadcast on one presence channel, named without its prefix or by a model."""
    return on(PresenceChannel(_unprefixed(name, ChannelKind.PRESENCE)))


def _unprefixed(name: Any, kind: ChannelKind) -> Any:
    if isinstance(name, Channel):
        raise TypeError(f"{kind.value.rstrip('-')}() takes a name or a model; use on({name!r})")
    return name
