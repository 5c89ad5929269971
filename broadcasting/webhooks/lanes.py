"""Lines in which what occurs waits for its endpoint: one for each endpoint of an application.

A lane has one request under way at most, which keeps the order; lanes do not know each other.
They live on the background loop of ``office``. What a finished body has to go through is the
office's business.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from broadcasting.conf import WebhookSettings
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.bodies import Delivery, body_of, names_of, without_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One event in a lane."""

    name: str
    text: str
    since: float
    """Seconds since the epoch."""


class Lane:
    """The events of one endpoint, first in, first out."""

    def __init__(
        self,
        key: str,
        settings: Callable[[], WebhookSettings],
        deliver: Callable[[Lane, Delivery], Awaitable[bool]],
        refuse: Callable[[list[Delivery]], None],
    ) -> None:
        """``deliver`` returns False for a body that it gave up.

        ``refuse`` takes bodies that grew too old behind one that was given up.
        """
        self.key = key
        self.application: Application
        self.webhook: Webhook
        self.waiting: deque[Waiting] = deque()
        self._settings = settings
        self._deliver = deliver
        self._refuse = refuse
        self._hurry = asyncio.Event()
        self._is_full = asyncio.Event()

    def put(self, application: Application, webhook: Webhook, event: Waiting) -> None:
        """Take an event, and the endpoint as it is configured now."""
        self.application, self.webhook = application, webhook
        self.waiting.append(event)
        if len(self.waiting) >= self._settings().batch_size:
            self._is_full.set()

    def hurry(self) -> None:
        """Gather no longer, and cut short the waits between attempts."""
        self._hurry.set()
        self._is_full.set()

    @property
    def is_hurried(self) -> bool:
        """Whether the process is about to end."""
        return self._hurry.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, unless there is a hurry."""
        await _wait(self._hurry, seconds)

    async def run(self) -> None:
        """Deliver until nothing waits."""
        while self.waiting:
            await self._gather()
            if not await self._deliver(self, self._cut()):
                late: list[Delivery] = []
                while self.waiting and self._is_too_old(self.waiting[0]):
                    late.append(self._cut())
                if late:
                    self._refuse(late)

    async def _gather(self) -> None:
        settings = self._settings()
        # A clock that is set back makes it negative, and for hours.
        age = max(0.0, time.time() - self.waiting[0].since)
        if settings.batch_seconds and len(self.waiting) < settings.batch_size:
            await _wait(self._is_full, settings.batch_seconds - age)

    def _cut(self) -> Delivery:
        """Take a batch off; what is too old shares none with what is not."""
        settings = self._settings()
        size = settings.batch_size if settings.batch_seconds else 1
        is_too_old = self._is_too_old(self.waiting[0])
        events: list[Waiting] = []
        while self.waiting and len(events) < size:
            if self._is_too_old(self.waiting[0]) != is_too_old:
                break
            events.append(self.waiting.popleft())
        if len(self.waiting) < settings.batch_size and not self.is_hurried:
            self._is_full.clear()
        created = events[0].since
        return Delivery(
            app_id=self.application.id,
            url=without_credentials(self.webhook.url),
            lane=self.key,
            names=names_of(event.name for event in events),
            body=body_of((event.text for event in events), round(created * 1000)),
            created=created,
            count=len(events),
        )

    def _is_too_old(self, event: Waiting) -> bool:
        return time.time() - event.since >= self._settings().retry_seconds


def make_room(lanes: Collection[Lane], lane: Lane, total: int) -> bool:
    """Take the newest event off the fullest of ``lanes``, unless that is ``lane`` itself.

    ``total``: how many events they have.
    """
    own = len(lane.waiting)
    # Who has an equal share already loses its own, without a search for who has most.
    if not lanes or own * len(lanes) >= total:
        return False
    fullest = max(lanes, key=lambda other: len(other.waiting))
    # The last one stays: a lane that runs counts on it.
    if len(fullest.waiting) <= max(1, own):
        return False
    fullest.waiting.pop()
    return True


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        pass
