"""A rendered event on its way to one broadcaster: plain text, ready for any queue.

The jobs ``broadcast`` and ``broadcast_many`` are what queues run. A payload of a version that
this process does not know is logged and counted, never fatal: workers and sites are not deployed
at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from os import urandom
from typing import Any, Final, TypeAlias

import msgspec

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.exceptions import NotAllSent
from broadcasting.signals import broadcast_sent

logger = logging.getLogger("broadcasting.queue")

JOB: Final = "broadcast"
MANY_JOB: Final = "broadcast_many"
VERSION: Final = 1

unreadable = 0
"""Jobs that this process dropped because it could not read them."""


class UnreadableBroadcast(ValueError):
    """Not a broadcast, or of a version that this process does not know."""


class Broadcast(msgspec.Struct, frozen=True, kw_only=True):
    """What one broadcaster is to send."""

    name: str
    channels: tuple[str, ...]
    """Wire names."""

    data: str
    """The JSON text that clients get."""

    broadcaster: str
    """Its alias in ``BROADCASTERS``; the class of one that no settings know."""

    except_socket: str | None = None
    event_label: str = ""
    """Dotted path of the event class, for logs and monitors."""

    event: dict[str, Any] | None = None
    """The event, packed, if it wants to hear that its broadcast failed in a worker."""

    id: str = msgspec.field(default_factory=lambda: urandom(16).hex())
    """The same for every attempt to send it."""

    def __repr__(self) -> str:
        """Show where it goes, never what it carries: it ends up in logs and tracebacks."""
        channels = ", ".join(self.channels)
        return f"<Broadcast {self.id} {self.name!r} on {channels} via {self.broadcaster}>"

    def to_payload(self) -> dict[str, Any]:
        """Return the broadcast as JSON data."""
        return {
            "v": VERSION,
            "id": self.id,
            "name": self.name,
            "channels": [*self.channels],
            "data": self.data,
            "broadcaster": self.broadcaster,
            "except_socket": self.except_socket,
            "event_label": self.event_label,
            **({} if self.event is None else {"event": self.event}),
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Broadcast:
        """Return the broadcast in ``payload``; raise UnreadableBroadcast."""
        values = dict(payload)
        version = values.pop("v", None)
        if version != VERSION:
            raise UnreadableBroadcast(f"version {version}, this process knows {VERSION}")
        try:
            return cls(**values | {"channels": tuple(values["channels"])})
        except (KeyError, TypeError) as error:
            raise UnreadableBroadcast(str(error)) from error


Failure: TypeAlias = tuple[Broadcast, Exception]


def deliver(broadcast: Broadcast, through: BaseBroadcaster | None = None) -> None:
    """Give ``broadcast`` to its broadcaster, or to this one. Raises PublishError."""
    broadcaster = broadcasters[broadcast.broadcaster] if through is None else through
    broadcaster.broadcast(broadcast)
    logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
    if broadcast_sent.receivers:
        broadcast_sent.send_robust(Broadcast, broadcast=broadcast)


async def adeliver(broadcast: Broadcast, through: BaseBroadcaster | None = None) -> None:
    """See deliver()."""
    broadcaster = broadcasters[broadcast.broadcaster] if through is None else through
    await broadcaster.abroadcast(broadcast)
    logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
    if broadcast_sent.receivers:
        await broadcast_sent.asend_robust(Broadcast, broadcast=broadcast)


def deliver_all(broadcasts: Sequence[Broadcast]) -> None:
    """Give several to their broadcasters, whatever becomes of the others. Raises NotAllSent."""
    failures: list[Failure] = []
    for alias, group in _by_broadcaster(broadcasts).items():
        try:
            broadcaster = broadcasters[alias]
            if len(group) == 1:
                broadcaster.broadcast(group[0])
            else:
                broadcaster.broadcast_many(group)
        except Exception as error:  # a driver of somebody else's raises what it likes
            failures += failures_of(error, group)
    for broadcast in _without(broadcasts, failures):
        logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
        if broadcast_sent.receivers:
            broadcast_sent.send_robust(Broadcast, broadcast=broadcast)
    if failures:
        raise NotAllSent(failures)


async def adeliver_all(broadcasts: Sequence[Broadcast]) -> None:
    """See deliver_all()."""
    failures: list[Failure] = []
    for alias, group in _by_broadcaster(broadcasts).items():
        try:
            broadcaster = broadcasters[alias]
            if len(group) == 1:
                await broadcaster.abroadcast(group[0])
            else:
                await broadcaster.abroadcast_many(group)
        except Exception as error:
            failures += failures_of(error, group)
    for broadcast in _without(broadcasts, failures):
        logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
        if broadcast_sent.receivers:
            await broadcast_sent.asend_robust(Broadcast, broadcast=broadcast)
    if failures:
        raise NotAllSent(failures)


def failures_of(error: Exception, broadcasts: Iterable[Broadcast]) -> list[Failure]:
    """Return which of ``broadcasts`` failed, each with its error: those that it names, or all."""
    if isinstance(error, NotAllSent):
        return [*error.failures]
    return [(broadcast, error) for broadcast in broadcasts]


def _by_broadcaster(broadcasts: Iterable[Broadcast]) -> dict[str, list[Broadcast]]:
    groups: dict[str, list[Broadcast]] = {}
    for broadcast in broadcasts:
        groups.setdefault(broadcast.broadcaster, []).append(broadcast)
    return groups


def _without(broadcasts: Iterable[Broadcast], failures: Iterable[Failure]) -> list[Broadcast]:
    failed = {id(broadcast) for broadcast, _ in failures}
    return [broadcast for broadcast in broadcasts if id(broadcast) not in failed]


def send(payload: dict[str, Any]) -> None:
    """Run the job ``broadcast``. Raises PublishError."""
    broadcast = read(payload)
    if broadcast is not None:
        deliver(broadcast)


async def asend(payload: dict[str, Any]) -> None:
    """See send()."""
    broadcast = read(payload)
    if broadcast is not None:
        await adeliver(broadcast)


def many(broadcasts: Iterable[Broadcast]) -> dict[str, Any]:
    """Return the payload of the job that sends several."""
    return {"broadcasts": [broadcast.to_payload() for broadcast in broadcasts]}


def send_many(payload: dict[str, Any]) -> None:
    """Run the job ``broadcast_many``. Raises NotAllSent."""
    deliver_all(read_many(payload))


async def asend_many(payload: dict[str, Any]) -> None:
    """See send_many()."""
    await adeliver_all(read_many(payload))


def read_many(payload: dict[str, Any]) -> list[Broadcast]:
    """Return the broadcasts of many() that can be read; see read()."""
    found = (read(each) for each in payload["broadcasts"])
    return [broadcast for broadcast in found if broadcast is not None]


def read(payload: dict[str, Any]) -> Broadcast | None:
    """Return the broadcast of a job, or None, counted and logged, if it cannot be read."""
    try:
        return Broadcast.from_payload(payload)
    except UnreadableBroadcast as error:
        unread(error)
        return None


def unread(problem: object) -> None:
    """Count and log a job that this process could not read."""
    global unreadable
    unreadable += 1
    logger.error("Dropped a broadcast that cannot be read: %s", problem)
