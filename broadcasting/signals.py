"""What occurs in an application, and what becomes of broadcasts, as Django signals.

What occurs is told in the process that holds the sockets, by a thread of its own: one after
the other in the order in which things happened, never on the event loop. The sender is the class
``Application``; keyword arguments are ``application``, ``time_ms`` and those of the table below.

What becomes of broadcasts is told where it is decided, by the thread or loop that decides; the
sender is the class ``Broadcast``. What a receiver raises is logged, and changes nothing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

from django.dispatch import Signal

from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application
from broadcasting.serial import Serial

logger = logging.getLogger("broadcasting.signals")

connected = Signal()
"""A client connected: ``socket_id``."""

disconnected = Signal()
"""A client is gone: ``socket_id``."""

channel_occupied = Signal()
"""A channel got its first subscriber: ``channel``."""

channel_vacated = Signal()
"""A channel lost its last subscriber and none came back in time: ``channel``."""

member_added = Signal()
"""A user came to a presence channel, with the first socket: ``channel``, ``user_id``."""

member_removed = Signal()
"""A user left a presence channel with the last socket, and did not return in time."""

client_event = Signal()
"""A client whispered: ``channel``, ``event``, ``data`` (text), ``socket_id``, ``user_id``."""

cache_miss = Signal()
"""Somebody joined a cache channel that holds no event: ``channel``."""

subscription_count = Signal()
"""The number of connections of a channel changed: ``channel``, ``subscription_count``."""

broadcast_sent = Signal()
"""A broadcaster took a broadcast: ``broadcast``. In the process that gave it to it."""

broadcast_failed = Signal()
"""A broadcast was given up: ``broadcast`` and ``error``. Once, after the last attempt."""

broadcast_skipped = Signal()
"""An event was not sent, and that is no failure: ``label``, ``id`` and ``reason``."""

_SENT: Final[dict[str, tuple[Signal, tuple[str, ...]]]] = {
    "connected": (connected, ("socket_id",)),
    "disconnected": (disconnected, ("socket_id",)),
    "channel_occupied": (channel_occupied, ("channel",)),
    "channel_vacated": (channel_vacated, ("channel",)),
    "member_added": (member_added, ("channel", "user_id")),
    "member_removed": (member_removed, ("channel", "user_id")),
    "client_event": (client_event, ("channel", "event", "data", "socket_id", "user_id")),
    "cache_miss": (cache_miss, ("channel",)),
    "subscription_count": (subscription_count, ("channel", "subscription_count")),
}

serial = Serial("broadcasting-signals", "signals", logger)


class SignalObserver:
    """Sends what it is told as signals; a name without receivers costs nothing."""

    def wants(self, application: Application, name: str) -> bool:
        return _SENT[name][0].has_listeners(Application)

    def tell(self, occurrence: Occurrence) -> None:
        serial.submit(partial(_send, occurrence))


def _send(occurrence: Occurrence) -> None:
    signal, fields = _SENT[occurrence.name]
    said: dict[str, Any] = {field: getattr(occurrence, field) for field in fields}
    # Robust: Django logs what a receiver raises, and the others are called all the same.
    signal.send_robust(
        Application, application=occurrence.application, time_ms=occurrence.time_ms, **said
    )


observer = SignalObserver()
