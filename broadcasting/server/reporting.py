"""What occurs on this node, stated for webhooks and signals: once each, and when it is sure.

Whoever leaves may be back in a moment, as every browser is that loads its next page. So a
departure waits for a while, and a return in that time makes neither of the two known.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from broadcasting.expiring import ExpiringMap
from broadcasting.occurrences import Occurrence, is_wanted, tell
from broadcasting.protocol import messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.messages import ClientEvent

CACHE_MISS_SECONDS = 1.0
"""However many subscribers find a cache channel empty, it is told once in this time."""

Presence = tuple[str, str, str | None]
"""Application id, channel, and a member's user id or None for the channel itself."""


class Reporter:
    """States occurrences in the order in which they happen."""

    def __init__(self, loop: asyncio.AbstractEventLoop, grace: float) -> None:
        """``grace``: seconds before a departure counts."""
        self._loop = loop
        self._grace = grace
        # All wait equally long, so the first in line is the first to be due.
        self._departed: dict[Presence, tuple[float, Occurrence]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._missed = ExpiringMap[tuple[str, str], None](10_000, loop.time)

    def connected(self, application: Application, socket_id: str) -> None:
        """A socket completed its handshake."""
        self._state("connected", application, socket_id=socket_id)

    def disconnected(self, application: Application, socket_id: str) -> None:
        """A socket is gone."""
        self._state("disconnected", application, socket_id=socket_id)

    def occupied(self, application: Application, channel: str) -> None:
        """A channel got its first subscriber."""
        if self._departed.pop((application.id, channel, None), None) is None:
            self._state("channel_occupied", application, channel=channel)

    def vacated(self, application: Application, channel: str) -> None:
        """A channel lost its last subscriber."""
        self._depart("channel", "occupied", "vacated", application, channel)

    def sure(self, application: Application, channel: str, user_id: str | None) -> None:
        """A channel or a member has been away long enough, by the word of a shared registry."""
        name = "channel_vacated" if user_id is None else "member_removed"
        self._state(name, application, channel=channel, user_id=user_id)

    def member_added(self, application: Application, channel: str, user_id: str) -> None:
        """A user's first socket came."""
        if self._departed.pop((application.id, channel, user_id), None) is None:
            self._state("member_added", application, channel=channel, user_id=user_id)

    def member_removed(self, application: Application, channel: str, user_id: str) -> None:
        """A user's last socket went."""
        self._depart("member", "added", "removed", application, channel, user_id)

    def client_event(
        self, application: Application, message: ClientEvent, socket_id: str, user_id: str | None
    ) -> None:
        """A whisper was relayed."""
        if not is_wanted(application, "client_event"):
            return
        data = message.data
        self._state(
            "client_event",
            application,
            channel=message.channel,
            event=message.event,
            data=data if isinstance(data, str) else messages.encode(data),
            socket_id=socket_id,
            user_id=user_id,
        )

    def cache_miss(self, application: Application, channel: str) -> None:
        """A subscriber found a cache channel empty."""
        if is_wanted(application, "cache_miss") and self._missed.add(
            (application.id, channel), None, CACHE_MISS_SECONDS
        ):
            self._state("cache_miss", application, channel=channel)

    def subscription_count(self, application: Application, channel: str, count: int) -> None:
        """Subscribers were told a new count."""
        self._state("subscription_count", application, channel=channel, subscription_count=count)

    def close(self) -> None:
        """State what waits: nobody returns to a node that stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        departed, self._departed = self._departed, {}
        for _, departure in departed.values():
            tell(departure)

    def _depart(
        self,
        what: str,
        came: str,
        went: str,
        application: Application,
        channel: str,
        user_id: str | None = None,
    ) -> None:
        name = f"{what}_{went}"
        # Those who only want to know who comes must not hear of returns either.
        if not (is_wanted(application, name) or is_wanted(application, f"{what}_{came}")):
            return
        departure = _occurrence(name, application, channel=channel, user_id=user_id)
        who = (application.id, channel, user_id)
        self._departed.pop(who, None)  # who came back and left again waits anew
        self._departed[who] = (self._loop.time() + self._grace, departure)
        if self._timer is None:
            self._timer = self._loop.call_later(self._grace, self._settle_due)

    def _settle_due(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._departed:
            who, (due, departure) = next(iter(self._departed.items()))
            if due > now:
                self._timer = self._loop.call_at(due, self._settle_due)
                return
            del self._departed[who]
            tell(departure)

    def _state(self, name: str, application: Application, **facts: Any) -> None:
        if is_wanted(application, name):
            tell(_occurrence(name, application, **facts))


def _occurrence(name: str, application: Application, **facts: Any) -> Occurrence:
    return Occurrence(
        name=name, application=application, time_ms=time.time_ns() // 1_000_000, **facts
    )
