"""Sending a delivery again: the same id and events, a new time and so a new signature."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from functools import partial
from uuid import UUID

from asgiref.sync import sync_to_async
from django.utils import timezone

from broadcasting.conf import get_settings
from broadcasting.models import WebhookDelivery
from broadcasting.protocol.application import Application, Webhook
from broadcasting.queues import get_queue
from broadcasting.serial import Serial
from broadcasting.webhooks import jobs
from broadcasting.webhooks.attempts import attempt, attempt_and_wait, logger, loop
from broadcasting.webhooks.bodies import Outcome, renewed

thread = Serial("broadcasting-webhook-replay", "replays", logger)
"""For callers who may not wait for endpoints, such as pages of the admin."""


def replay(delivery: WebhookDelivery | UUID | str) -> WebhookDelivery:
    """Send ``delivery`` again, whatever became of it, and return it as it is afterwards.

    With a queue that leaves the process a worker does it, before what waits for the same
    endpoint, and tries as often as for a new one; without, it is tried once, here and now.
    Raises PublishError, WebhookDelivery.DoesNotExist.
    """
    row, target = _begin(delivery)
    if target is not None:
        _end(row, attempt_and_wait(*target, str(row.uuid), row.body))
    return row


async def areplay(delivery: WebhookDelivery | UUID | str) -> WebhookDelivery:
    """See replay()."""
    row, target = await sync_to_async(_begin)(delivery)
    if target is not None:
        trying = loop.submit(attempt(*target, str(row.uuid), row.body))
        await sync_to_async(_end)(row, await asyncio.wrap_future(trying))
    return row


def replay_later(delivery: WebhookDelivery) -> None:
    """See replay(), without waiting for the endpoint. What goes wrong stands in the log."""
    if get_queue().leaves_process:
        replay(delivery)
    else:
        # Now, since the process may end when there is no time for it any more.
        loop.start()
        thread.submit(partial(replay, delivery.uuid))


def _find(delivery: WebhookDelivery | UUID | str) -> WebhookDelivery:
    if isinstance(delivery, WebhookDelivery):
        return delivery
    return WebhookDelivery.objects.get(uuid=delivery)


def _renew(row: WebhookDelivery, *, due: bool) -> None:
    now = timezone.now()
    row.body = renewed(row.body, round(time.time() * 1000))
    row.status = row.Status.PENDING
    row.attempts = 0
    row.last_status, row.last_error = None, ""
    row.due_at = now if due else None
    row.retry_until = now + timedelta(seconds=get_settings().webhooks.retry_seconds)
    row.updated_at = now
    row.save()


def _begin(
    delivery: WebhookDelivery | UUID | str,
) -> tuple[WebhookDelivery, tuple[Application, Webhook] | None]:
    """Return the row, and where to send it from here, if that is still to be done."""
    row = _find(delivery)
    if get_queue().leaves_process:
        _renew(row, due=True)
        jobs.push(row.lane, row.app_id)
        return row, None
    _renew(row, due=False)
    target = jobs.target_of(row)
    if target is None:
        _end(row, Outcome(error=jobs.NO_ENDPOINT))
    return row, target


def _end(row: WebhookDelivery, outcome: Outcome) -> None:
    row.status = row.Status.DELIVERED if outcome.delivered else row.Status.FAILED
    row.attempts = 1
    row.last_status, row.last_error = outcome.status, outcome.error
    row.updated_at = timezone.now()
    row.save()
