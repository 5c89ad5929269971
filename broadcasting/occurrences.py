"""What happens in an application that others want to know: the words of webhooks and signals.

The server states occurrences; who wants to know observes. An observer is called on the event
loop that holds the sockets, so it hands on what it gets and returns. Knows nobody of either.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from broadcasting.protocol.application import Application

logger = logging.getLogger("broadcasting.server")

WEBHOOK_NAMES = (
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
)
"""What webhooks can tell, in Pusher's words."""

NAMES = (*WEBHOOK_NAMES, "connected", "disconnected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One thing that happened; what does not apply to its ``name`` is None."""

    name: str
    """One of ``NAMES``."""

    application: Application
    time_ms: int
    """When, in milliseconds since the epoch."""

    channel: str | None = None
    user_id: str | None = None
    """Of a member, and of the sender of a client event on a presence channel."""

    socket_id: str | None = None
    """Of the sender of a client event, and of a connection."""

    event: str | None = None
    """The name of a client event."""

    data: str | None = None
    """The data of a client event: text as it was sent, anything else as JSON."""

    subscription_count: int | None = None


class Observer(Protocol):
    """Somebody who wants to know. Neither method may block, or raise."""

    def wants(self, application: Application, name: str) -> bool:
        """Whether to be told of ``name`` at all; asked often."""

    def tell(self, occurrence: Occurrence) -> None:
        """Take one occurrence. They come in the order in which they happened."""


_observers: tuple[Observer, ...] = ()


def observe(observer: Observer) -> None:
    """Tell ``observer`` from now on, in every node of this process; twice is once."""
    global _observers
    if observer not in _observers:
        _observers = (*_observers, observer)


def is_wanted(application: Application, name: str) -> bool:
    """Whether anybody wants to know of ``name``."""
    return any(observer.wants(application, name) for observer in _observers)


def tell(occurrence: Occurrence) -> None:
    """Tell every observer that wants it."""
    for observer in _observers:
        try:
            if observer.wants(occurrence.application, occurrence.name):
                observer.tell(occurrence)
        except Exception:  # nobody who looks on may end a socket
            logger.exception("%s could not be told", occurrence.name)
