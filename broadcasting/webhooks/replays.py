"""Sending a delivery again: the same id and events, a new time and so a new signature."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from broadcasting.conf import get_settings
from broadcasting.models import WebhookDelivery
from broadcasting.protocol.application import Application, Webhook
from broadcasting.queues import get_queue
from broadcasting.serial import Serial
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.attempts import attempt, attempt_and_wait, logger, loop
from broadcasting.webhooks.bodies import Outcome, renewed

thread = Serial("broadcasting-webhook-replay", "replays", logger)
"""For callers who may not wait for endpoints, such as pages of the admin."""


def replay(delivery: WebhookDelivery | UUID | str) -> WebhookDelivery:
    """Send ``delivery`` again, and return it as it is afterwards.

    With a queue that leaves the process a worker does it, after the current transaction commits
    and before what waits for the same endpoint, and tries as often as for a new one; without, it
    is tried once, here and now. One that is still on its way is left alone, see is_under_way().
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
        # Whoever waits for it may go away; what came of it is written down all the same.
        trying = asyncio.ensure_future(_try(row, target))
        _trying.add(trying)
        trying.add_done_callback(_trying.discard)
        await asyncio.shield(trying)
    return row


async def _try(row: WebhookDelivery, target: tuple[Application, Webhook]) -> None:
    outcome = loop.submit(attempt(*target, str(row.uuid), row.body))
    await sync_to_async(_end)(row, await asyncio.wrap_future(outcome))


_trying: set[asyncio.Task[None]] = set()


def replay_later(delivery: WebhookDelivery) -> bool:
    """See replay(), without waiting for the endpoint. What goes wrong stands in the log.

    False when too many wait already.
    """
    if get_queue().leaves_process:
        replay(delivery)
        return True
    # Now, since the process may end when there is no time for it any more.
    loop.start()
    return thread.submit(partial(replay, delivery.uuid))


def is_under_way(row: WebhookDelivery) -> bool:
    """Whether ``row`` is sent without a replay: it waits, or somebody is sending it now."""
    now, silence = timezone.now(), _silence()
    return row.status == row.Status.PENDING and (
        row.retry_until >= now - silence or (row.due_at is not None and row.due_at >= now)
    )


def _silence() -> timedelta:
    # Who sends it would have given it up by then.
    return timedelta(seconds=(jobs.LEASE + 1) * get_settings().webhooks.timeout)


def _find(delivery: WebhookDelivery | UUID | str) -> WebhookDelivery:
    if isinstance(delivery, WebhookDelivery):
        delivery.refresh_from_db(using=log.rows().db)
        return delivery
    return log.rows().get(uuid=delivery)


def _renew(row: WebhookDelivery, *, due: bool) -> bool:
    """Make ``row`` a new one; False if it is still on its way, or is again by now."""
    if is_under_way(row):
        return False
    now = timezone.now()
    return _change(
        row,
        body=renewed(row.body, round(time.time() * 1000)),
        status=row.Status.PENDING,
        attempts=0,
        last_status=None,
        last_error="",
        due_at=log.at_once() if due else None,
        retry_until=now + timedelta(seconds=get_settings().webhooks.retry_seconds),
        updated_at=now,
    )


def _begin(
    delivery: WebhookDelivery | UUID | str,
) -> tuple[WebhookDelivery, tuple[Application, Webhook] | None]:
    """Return the row, and where to send it from here, if that is still to be done."""
    row = _find(delivery)
    is_for_workers = get_queue().leaves_process
    if not _renew(row, due=is_for_workers):
        logger.warning("Webhook %s is not sent again: it is still on its way", row.uuid)
        return row, None
    if is_for_workers:
        _push(row)
        return row, None
    target = jobs.target_of(row)
    if isinstance(target, str):
        _end(row, Outcome(error=target))
        return row, None
    return row, target


def _push(row: WebhookDelivery) -> None:
    using = log.rows().db
    if not transaction.get_connection(using).in_atomic_block:
        jobs.push(row.lane, row.app_id)
        return
    # A worker would not see it yet. Nobody is there to be told of a queue that is away then.
    push = partial(jobs.push_or_log, row.lane, row.app_id, row.uuid)
    transaction.on_commit(push, using=using)


def _end(row: WebhookDelivery, outcome: Outcome) -> None:
    _change(
        row,
        status=row.Status.DELIVERED if outcome.delivered else row.Status.FAILED,
        attempts=1,
        last_status=outcome.status,
        last_error=outcome.error,
        updated_at=timezone.now(),
    )


def _change(row: WebhookDelivery, **changes: Any) -> bool:
    """Write ``changes``, unless somebody else wrote since ``row`` was read."""
    same = log.rows().filter(pk=row.pk, status=row.status, updated_at=row.updated_at)
    if not same.update(**changes):
        return False
    for name, value in changes.items():
        setattr(row, name, value)
    return True
