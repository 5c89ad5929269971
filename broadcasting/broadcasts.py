"""A rendered event on its way to one broadcaster: plain text, ready for any queue.

The jobs ``broadcast`` and ``broadcast_many`` are what queues run. A payload of a version that
this process does not know is logged and counted, never fatal: workers and sites are not deployed
at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Final

from broadcasting.broadcasters import broadcasters
from broadcasting.signals import broadcast_sent

logger = logging.getLogger("broadcasting.queue")

JOB: Final = "broadcast"
MANY_JOB: Final = "broadcast_many"
VERSION: Final = 1

unreadable = 0
"""Jobs that this process dropped because it could not read them."""


class UnreadableBroadcast(ValueError):
    """Not a broadcast, or of a version that this process does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """What one broadcaster is to send."""

    name: str
    channels: tuple[str, ...]
    """Wire names."""

    data: str = field(repr=False)
    """The JSON text that clients get."""

    broadcaster: str
    """Its alias in ``BROADCASTERS``."""

    except_socket: str | None = None
    event_label: str = ""
    """Dotted path of the event class, for logs and monitors."""

    event: dict[str, Any] | None = field(default=None, repr=False)
    """The event, packed, if it wants to hear that its broadcast failed in a worker."""

    id: str = field(default_factory=lambda: urandom(16).hex())
    """The same for every attempt to send it."""

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


def send(payload: dict[str, Any]) -> None:
    """Run the job: give the broadcast to its broadcaster. Raises PublishError."""
    broadcast = read(payload)
    if broadcast is None:
        return
    broadcasters[broadcast.broadcaster].broadcast(broadcast)
    logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
    if broadcast_sent.receivers:
        broadcast_sent.send_robust(Broadcast, broadcast=broadcast)


async def asend(payload: dict[str, Any]) -> None:
    """See send()."""
    broadcast = read(payload)
    if broadcast is None:
        return
    await broadcasters[broadcast.broadcaster].abroadcast(broadcast)
    logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
    if broadcast_sent.receivers:
        await broadcast_sent.asend_robust(Broadcast, broadcast=broadcast)


def many(broadcasts: Iterable[Broadcast]) -> dict[str, Any]:
    """Return the job that sends several, all for one broadcaster."""
    return {"broadcasts": [broadcast.to_payload() for broadcast in broadcasts]}


def send_many(payload: dict[str, Any]) -> None:
    """Run the job of many(). Raises PublishError; tried again, it sends all of them again."""
    broadcasts = read_many(payload)
    if not broadcasts:
        return
    broadcasters[broadcasts[0].broadcaster].broadcast_many(broadcasts)
    for broadcast in broadcasts:
        logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
        if broadcast_sent.receivers:
            broadcast_sent.send_robust(Broadcast, broadcast=broadcast)


async def asend_many(payload: dict[str, Any]) -> None:
    """See send_many()."""
    broadcasts = read_many(payload)
    if not broadcasts:
        return
    await broadcasters[broadcasts[0].broadcaster].abroadcast_many(broadcasts)
    for broadcast in broadcasts:
        logger.debug("Sent %s: %s", broadcast.id, broadcast.event_label)
        if broadcast_sent.receivers:
            await broadcast_sent.asend_robust(Broadcast, broadcast=broadcast)


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
