"""How a body leaves a server process: into the log, for workers, or from here to its endpoint.

With a queue that leaves the process bodies are written to the log, from where workers take them
in order; otherwise, or when the database does not take them, they are sent from here. Lives on
the background loop of ``office``, and keeps no body longer than it carries it.
"""

from __future__ import annotations

import logging
from functools import partial

from broadcasting.conf import WebhookSettings, get_settings
from broadcasting.queues import get_queue
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.attempts import attempt, next_wait, report
from broadcasting.webhooks.bodies import Delivery
from broadcasting.webhooks.lanes import Lane

logger = logging.getLogger("broadcasting.webhooks")


class Carrier:
    """Carries one body of each lane at a time. Its counters are plain integers."""

    def __init__(self) -> None:
        self.delivered = 0
        """Requests that an endpoint took from this process."""

        self.queued = 0
        """Requests that were left to workers."""

        self.failed = 0
        """Requests that were given up, and events that a mistake of ours cost."""

    async def carry(self, lane: Lane, delivery: Delivery) -> bool:
        """Return whether ``delivery`` left; False: it was given up. Never raises."""
        try:
            if (
                _settings().log
                and get_queue().leaves_process
                and await self._hand_on(lane, delivery)
            ):
                return True
            return await self._send(lane, delivery)
        except Exception:  # a mistake of ours, or of a queue; the others want their turn
            logger.exception("Webhook %s broke off", delivery.id)
            self.failed += delivery.count
            return False

    async def _hand_on(self, lane: Lane, delivery: Delivery) -> bool:
        """Leave ``delivery`` to the workers, unless the database is away."""
        # What is sent from here may overtake what waits there, so a lock is not the end yet.
        for is_last in (False, True):
            try:
                await log.on_thread(partial(jobs.enqueue, delivery))
            except log.UNAVAILABLE as error:
                if is_last or log.is_away():
                    log.complain(error)
                    return False
                await lane.pause(_settings().first_retry)
                continue
            break
        self.queued += 1
        log.withdraw()
        return True

    async def _send(self, lane: Lane, delivery: Delivery) -> bool:
        """Send from here, until it arrives or is given up."""
        is_logged = _settings().log
        if is_logged:
            log.later(partial(log.record, delivery, due=False))
        attempts = 0
        while True:
            attempts += 1
            is_last = lane.is_hurried
            outcome = await attempt(lane.application, lane.webhook, delivery.id, delivery.body)
            wait = next_wait(attempts, delivery.created + _settings().retry_seconds)
            given_up = not outcome.delivered and (is_last or wait is None)
            if is_logged:
                log.later(partial(log.note, delivery.id, outcome, given_up=given_up))
            if outcome.delivered:
                self.delivered += 1
                return True
            report(delivery.id, delivery.app_id, delivery.url, outcome, None if is_last else wait)
            if given_up or wait is None:
                self.failed += 1
                return False
            await lane.pause(wait)

    def give_up(self, late: list[Delivery]) -> None:
        """Log what grew too old behind a request that was given up."""
        self.failed += len(late)
        # One line, not one for each of a flood; the log in the database has them all.
        logger.error("Gave up %s more webhooks of %s: %s", len(late), late[0].app_id, jobs.TOO_LATE)
        if _settings().log:
            for delivery in late:
                log.later(partial(log.record, delivery, due=False, failed=jobs.TOO_LATE))


def _settings() -> WebhookSettings:
    return get_settings().webhooks
