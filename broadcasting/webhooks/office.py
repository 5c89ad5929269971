"""Where a server process gives webhooks up: the observer, and the lanes with the room they share.

``tell`` is called on the loop that holds the sockets: it appends to a list, and wakes the
background loop, where everything else happens. How a body leaves is the carrier's business.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import time
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final

from broadcasting.backplanes.background import BackgroundLoop
from broadcasting.conf import WebhookSettings, get_settings
from broadcasting.ending import end
from broadcasting.exceptions import PublishError
from broadcasting.occurrences import WEBHOOK_NAMES, Occurrence
from broadcasting.protocol.application import Application, Webhook
from broadcasting.queues import get_queue
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.attempts import hang_up, loop
from broadcasting.webhooks.bodies import Delivery, event_text, lanes_of
from broadcasting.webhooks.carrier import Carrier
from broadcasting.webhooks.lanes import Lane, Waiting, make_room

logger = logging.getLogger("broadcasting.webhooks")

INBOX: Final = 10_000
"""Events, if not ``MAX_WAITING``, that may be on their way to the lanes, where room is shared: a
burst for one endpoint must not be in the way of the others' before."""

EXIT_SECONDS: Final = 2.0
"""How long a process that exits without ASGI lifespan waits for what is under way."""

ENDING_SECONDS: Final = 0.5
"""And then for what is given up, beyond its timeout."""

_NAMES = frozenset(WEBHOOK_NAMES)
_LANE = "lane"


class Office:
    """The observer of one process. Its counters are plain integers."""

    def __init__(self, loop: BackgroundLoop) -> None:
        self.loop = loop
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.carrier = Carrier()
        self.waiting = 0
        """Events in the lanes, those under way included."""

        self._untaken = 0
        self._displaced = 0
        self._inbox: deque[tuple[Occurrence, float]] = deque()
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_woken = False
        self._is_full = False
        self._is_started = False
        self._is_ending = False

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        # Kept alive: tasks that end unfinished complain, and these go on in the parent.
        _inherited.append((self._lanes, self._tasks))
        self.reset()

    @property
    def dropped(self) -> int:
        """Events that found ``MAX_WAITING`` others, or made room for another endpoint's."""
        return self._untaken + self._displaced  # of two threads

    def wants(self, application: Application, name: str) -> bool:
        return name in _NAMES and any(
            webhook.event_types is None or name in webhook.event_types
            for webhook in application.webhooks
        )

    def tell(self, occurrence: Occurrence) -> None:
        if len(self._inbox) >= max(INBOX, _settings().max_waiting):
            self._untaken += 1
            self._warn_of_flood()
            return
        self._inbox.append((occurrence, time.time()))
        if not self._is_woken:
            self._is_woken = True
            self.loop.submit(self._take())

    def stop(self, timeout: float) -> None:
        """Give what waits ``timeout`` seconds, then log what is lost. Never raises."""
        if not self._has_work():
            return
        try:
            self.loop.submit(self._stop(timeout)).result(timeout + 1)
        except (TimeoutError, CancelledError):
            logger.error("The process ends, and the sender of webhooks does not answer")

    async def astop(self, timeout: float) -> None:
        """See stop()."""
        if self._has_work():
            await asyncio.wrap_future(self.loop.submit(self._stop(timeout)))

    def _has_work(self) -> bool:
        # What was told a moment ago may not have begun yet.
        return self._is_started or bool(self._inbox)

    async def _take(self) -> None:
        self._is_woken = False
        self._start()
        while self._inbox:
            self.waiting += 1  # first counted twice, never not at all
            occurrence, since = self._inbox.popleft()
            self.waiting -= 1
            try:
                self._sort(occurrence, since)
            except Exception:  # nobody waits for this coroutine, and the others want their turn
                logger.exception("A webhook event could not be made of %s", occurrence.name)

    def _sort(self, occurrence: Occurrence, since: float) -> None:
        """Put ``occurrence`` into the lanes of those who want it."""
        text: str | None = None
        application = occurrence.application
        for key, webhook in lanes_of(application):
            if webhook.wants(occurrence.name, occurrence.channel):
                text = text or event_text(occurrence)
                event = Waiting(name=occurrence.name, text=text, since=since)
                self._put(key, application, webhook, event)

    def _put(self, key: str, application: Application, webhook: Webhook, event: Waiting) -> None:
        lane = self._lanes.get(key)
        is_new = lane is None
        if lane is None:
            lane = Lane(key, _settings, self._deliver, self._refuse)
            if self._is_ending:
                lane.hurry()
        if self._has_room_for(lane):
            self.waiting += 1
            lane.put(application, webhook, event)
        if is_new and lane.waiting:
            self._lanes[key] = lane
            self._run(self._serve(lane), _LANE)

    def _has_room_for(self, lane: Lane) -> bool:
        """Return whether ``lane`` may have one more; the fullest one may lose one for it."""
        if self.waiting < _settings().max_waiting:
            return True
        self._displaced += 1
        self._warn_of_flood()
        if not make_room(self._lanes.values(), lane, self.waiting):
            return False
        self.waiting -= 1
        return True

    def _warn_of_flood(self) -> None:
        if not self._is_full:  # once, not for each of a flood
            self._is_full = True
            most = _settings().max_waiting
            logger.error("The newest webhook events are dropped: %s others wait", most)

    async def _serve(self, lane: Lane) -> None:
        try:
            await lane.run()
        except Exception:  # a mistake of ours; the next event begins anew
            logger.exception("A lane of webhooks broke off, and %s events", len(lane.waiting))
            self.carrier.failed += max(1, len(lane.waiting))
            self.waiting -= len(lane.waiting)
        finally:
            del self._lanes[lane.key]

    async def _deliver(self, lane: Lane, delivery: Delivery) -> bool:
        try:
            return await self.carrier.carry(lane, delivery)
        finally:
            self.waiting -= delivery.count
            if self.waiting * 2 < _settings().max_waiting:
                self._is_full = False

    def _refuse(self, late: list[Delivery]) -> None:
        self.waiting -= sum(delivery.count for delivery in late)
        self.carrier.give_up(late)

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            self._run(self._look_after(), "look-after")

    async def _look_after(self) -> None:
        """Now and then have workers take what they were told of in vain."""
        while not self._is_ending:
            await asyncio.sleep(_settings().timeout)
            try:
                if _settings().log and get_queue().leaves_process:
                    await log.on_thread(jobs.sweep)
            except log.UNAVAILABLE as error:
                log.complain(error)
            except PublishError:
                logger.debug("The queue is still away")
            except Exception:  # it must go on looking
                logger.exception("Webhooks that wait in the database were not looked after")

    async def _stop(self, timeout: float) -> None:
        ends = time.monotonic() + timeout
        self._is_ending = True
        await self._take()
        for lane in self._lanes.values():
            lane.hurry()
        lanes = {task for task in self._tasks if task.get_name() == _LANE}
        if lanes:
            await asyncio.wait(lanes, timeout=timeout)
        lost = self.waiting
        await end(self._tasks, ENDING_SECONDS)
        await hang_up()
        if lost:
            logger.error("The process ends, and %s webhook events were not delivered", lost)
        log.thread.flush(max(0.0, ends - time.monotonic()))
        self._is_started = self._is_ending = False

    def _run(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settings() -> WebhookSettings:
    return get_settings().webhooks


office = Office(loop)
_inherited: list[object] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=office.after_fork)


@atexit.register
def finish(timeout: float = EXIT_SECONDS) -> None:
    """Let a process that ends without ASGI lifespan, as Daphne's, deliver what waits."""
    office.stop(timeout)
