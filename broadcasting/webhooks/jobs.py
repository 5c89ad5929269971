"""The job ``broadcasting.webhook``: a worker delivers what waits in the log for one endpoint.

The log is the line; a job only says that somebody should look. Whoever finds the first row due
takes it for a while, so that two workers never have one endpoint at once, and goes on with the
next one when it is done. A worker that dies loses its job and its lease; the servers look for
rows that nobody came for, and push another job.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from django.db import Error

from broadcasting import queues
from broadcasting.applications import get_applications
from broadcasting.conf import get_settings
from broadcasting.exceptions import DeliveryPostponed, PublishError
from broadcasting.protocol.application import Application, Webhook
from broadcasting.queues import JobOptions, get_queue
from broadcasting.webhooks import log
from broadcasting.webhooks.attempts import attempt_and_wait, is_over, next_wait, report
from broadcasting.webhooks.bodies import Delivery, Outcome, endpoint_of

if TYPE_CHECKING:  # imported by asgi.py files, before models may be
    from broadcasting.models import WebhookDelivery

logger = logging.getLogger("broadcasting.webhooks")

JOB: Final = "broadcasting.webhook"
VERSION: Final = 1

TRIES: Final = 1_000
"""More than fit in any ``RETRY_SECONDS``: the log says when to give up."""

AT_ONCE: Final = 100
"""Requests that one job makes before others have their turn."""

SECONDS: Final = 10.0
"""For so long one job begins further ones: its worker may be there for broadcasts too."""

LEASE: Final = 2.0
"""For how many ``TIMEOUT``s a worker has a row for itself."""

NO_ENDPOINT: Final = "The application has no such endpoint any more"
DISABLED: Final = "The application is disabled"
TOO_LATE: Final = "Grew too old behind a request that was given up"


def enqueue(delivery: Delivery) -> None:
    """Put ``delivery`` in its line and tell the workers. Raises what the database does.

    Once it is in the log it is looked for there, whatever the queue says.
    """
    log.record(delivery, due=True)
    push_or_log(delivery.lane, delivery.app_id, delivery.id)


def push_or_log(lane: str, app_id: str, delivery_id: object) -> None:
    """See push(), for what is in the log whether the queue hears of it or not."""
    try:
        push(lane, app_id)
    except PublishError as error:
        logger.warning("The queue was not told of webhook %s yet: %s", delivery_id, error)
    except Exception:  # a broken queue must not be taken for a database that is away
        logger.exception("The queue was not told of webhook %s yet", delivery_id)


def push(lane: str, app_id: str) -> None:
    """Have a worker look after ``lane``. Raises PublishError."""
    settings = get_settings().webhooks
    options = JobOptions(
        queue=settings.queue,
        tries=TRIES,
        backoff=(settings.first_retry,),
        expires=max(settings.retry_seconds, settings.timeout, 60),
        label=f"webhooks of {app_id}",
    )
    get_queue().push(JOB, {"v": VERSION, "lane": lane}, options)


def sweep() -> None:
    """Push a job for every line whose first row nobody came for. Raises PublishError."""
    for lane, app_id in log.stuck(get_settings().webhooks.timeout):
        push(lane, app_id)


def run(payload: dict[str, Any]) -> None:
    """Deliver what waits in one line. Raises DeliveryPostponed to be called again."""
    if payload.get("v") != VERSION:
        logger.error("Dropped a webhook job of version %.20r", payload.get("v"))
        return
    lane = str(payload["lane"])
    try:
        _run(lane)
    except Error as error:
        # A worker that is restarted with its database away must not lose the line.
        raise DeliveryPostponed(
            f"The database is away: {type(error).__name__}", get_settings().webhooks.first_retry
        ) from error


def _run(lane: str) -> None:
    ends = time.monotonic() + SECONDS
    gave_up, app_id = False, ""
    for _ in range(AT_ONCE):
        row = log.take(lane, LEASE * get_settings().webhooks.timeout)
        if row is None:
            return
        app_id = row.app_id
        if gave_up and row.attempts == 0 and is_over(row.retry_until.timestamp()):
            log.give_up(row, TOO_LATE)
            continue
        gave_up = not _deliver(row)
        if time.monotonic() >= ends:
            break
    push(lane, app_id)


def _deliver(row: WebhookDelivery) -> bool:
    """Return whether ``row`` arrived; False: it was given up."""
    target = target_of(row)
    if isinstance(target, str):
        log.give_up(row, target)
        report(row.uuid, row.app_id, row.url, Outcome(error=target), None)
        return False
    outcome = attempt_and_wait(*target, str(row.uuid), row.body)
    wait = next_wait(row.attempts + 1, row.retry_until.timestamp())
    log.note(row.uuid, outcome, given_up=not outcome.delivered and wait is None)
    if outcome.delivered:
        return True
    report(row.uuid, row.app_id, row.url, outcome, wait)
    if wait is None:
        return False
    log.postpone(row, wait)
    raise DeliveryPostponed(outcome.error, wait)


def target_of(row: WebhookDelivery) -> tuple[Application, Webhook] | str:
    """Return application and endpoint of ``row`` as they are configured now, or why not."""
    application = get_applications().by_id(row.app_id)
    webhook = None if application is None else endpoint_of(application, row.lane, row.url)
    if application is None or webhook is None:
        return NO_ENDPOINT
    return (application, webhook) if application.enabled else DISABLED


queues.register(JOB, run)
