"""What a fake keeps: one record per broadcast and broadcaster, as it would have left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from broadcasting.anonymous import AnonymousEvent
from broadcasting.broadcasts import Broadcast
from broadcasting.channels import Channel, from_wire
from broadcasting.dispatching.outgoing import Outgoing
from broadcasting.dispatching.rendering import name_of, queue_of
from broadcasting.notifications import ECHO_NOTIFICATION_EVENT
from broadcasting.queues import get_queue

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A broadcast that left."""

    id: str
    """The same for every broadcaster of one dispatch."""

    name: str
    channels: tuple[Channel, ...]
    """``str()`` of each is its wire name."""

    data: str
    """The JSON text that clients would have got."""

    event: ShouldBroadcast | None
    """None for an anonymous one."""

    except_socket: str | None
    broadcaster: str
    queue: str | None
    """Where its job would have waited; None for what does not wait (``now``)."""

    @property
    def payload(self) -> Any:
        """The decoded ``data``."""
        return json.loads(self.data)

    def __str__(self) -> str:
        channels = ", ".join(map(str, self.channels))
        others = f", except to {self.except_socket}" if self.except_socket else ""
        called = _called(self.name, self.event)
        return f"{called} on {channels} ({_route(self.broadcaster, self.queue)}{others})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An event that waits for its commit, for one broadcaster. It is rendered only then."""

    event: ShouldBroadcast
    name: str
    except_socket: str | None
    broadcaster: str
    queue: str | None
    using: str
    """The alias of the database whose transaction is open."""

    def __str__(self) -> str:
        called = _called(self.name, self.event)
        return f"{called} ({_route(self.broadcaster, self.queue)}, database {self.using})"


def record_of(outgoing: Outgoing, broadcast: Broadcast, *, is_here: bool = False) -> Record:
    """Return the record of one broadcast of an event. ``is_here``: whether no queue had it."""
    return Record(
        id=broadcast.id,
        name=broadcast.name,
        channels=tuple(from_wire(name) for name in broadcast.channels),
        data=broadcast.data,
        event=None if isinstance(outgoing.event, AnonymousEvent) else outgoing.subject,
        except_socket=broadcast.except_socket,
        broadcaster=broadcast.broadcaster,
        queue=None if is_here else _queue(outgoing),
    )


def pending_of(outgoing: Outgoing, using: str) -> list[Pending]:
    """Return what waits, one for each broadcaster of the event."""
    return [
        Pending(
            event=outgoing.subject,
            name=name_of(outgoing),
            except_socket=outgoing.except_socket,
            broadcaster=alias,
            queue=_queue(outgoing),
            using=using,
        )
        for alias in outgoing.broadcasters
    ]


def _queue(outgoing: Outgoing) -> str | None:
    if outgoing.options.now:
        return None
    return queue_of(outgoing) or get_queue().default_name


def _called(name: str, event: ShouldBroadcast | None) -> str:
    # All notifications have that one name, so it tells nobody which one was sent.
    return type(event).__name__ if name == ECHO_NOTIFICATION_EVENT else name


def _route(broadcaster: str, queue: str | None) -> str:
    return f"via {broadcaster}, {f'queue {queue}' if queue else 'now'}"
