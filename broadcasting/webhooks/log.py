"""The delivery log in the database, and with it the line in which workers find their work.

Every function is synchronous and makes single statements, so that it is right without
transactions, on SQLite as on PostgreSQL. A server calls them on ``thread``, never on a loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, IntegrityError, router
from django.db.models import F, Min, QuerySet
from django.utils import timezone

from broadcasting.conf import get_settings
from broadcasting.exceptions import DeliveryPostponed
from broadcasting.serial import Serial
from broadcasting.webhooks.bodies import Delivery, Outcome

if TYPE_CHECKING:
    from broadcasting.models import WebhookDelivery

T = TypeVar("T")

logger = logging.getLogger("broadcasting.webhooks")

REMOVE_AFTER: Final = 100
"""Old rows are looked for after so many new ones."""

REMOVE_AT_ONCE: Final = 1_000
"""Old rows removed in one statement at most."""

AT_ONCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""When a row is due that any worker may take now, whatever the clocks of the two machines say."""

SOON: Final = 2.0
"""A row that is due in so many seconds is waited for: clocks differ, and its job may be this one.
What is due later has a job that comes later, or a worker that is at it."""


class Unavailable(Error):
    """There is no log here, or too much waits for it."""


UNAVAILABLE: Final = (Error, ImproperlyConfigured)
"""What a database raises that is away, lacks the table, or is not configured at all."""

LOST = "The process that was to send it ended"

thread = Serial("broadcasting-webhook-log", "log entries", logger)


_since_removal = 0
_is_away = False


def record(delivery: Delivery, *, due: bool, failed: str = "") -> None:
    """Add a row. ``due``: for a worker to take; ``failed``: why nobody will even try."""
    created = _moment(delivery.created)
    status = _model().Status
    row = _model()(
        uuid=UUID(delivery.id),
        app_id=delivery.app_id,
        url=delivery.url,
        lane=delivery.lane,
        names=delivery.names,
        body=delivery.body,
        status=status.FAILED if failed else status.PENDING,
        last_error=failed,
        due_at=at_once() if due else None,
        retry_until=created + timedelta(seconds=get_settings().webhooks.retry_seconds),
        created_at=created,
    )
    try:
        row.save(force_insert=True)
    except IntegrityError:
        # Kept by an attempt whose answer was lost.
        if not rows().filter(uuid=row.uuid).exists():
            raise
        return
    _remove_sometimes()


def note(delivery_id: str | UUID, outcome: Outcome, *, given_up: bool = False) -> None:
    """Write down how one attempt ended."""
    status = _model().Status
    changes: dict[str, object] = {
        "attempts": F("attempts") + 1,
        "last_status": outcome.status,
        "last_error": outcome.error,
        "updated_at": timezone.now(),
    }
    if outcome.delivered:
        changes["status"] = status.DELIVERED
    elif given_up:
        changes["status"] = status.FAILED
    rows().filter(uuid=delivery_id, status=status.PENDING).update(**changes)


def give_up(row: WebhookDelivery, why: str) -> None:
    """Write down that ``row`` is not tried any more."""
    rows().filter(pk=row.pk, status=row.Status.PENDING).update(
        status=row.Status.FAILED, last_error=why, updated_at=timezone.now()
    )


def take(lane: str, lease: float) -> WebhookDelivery | None:
    """Return the first row of ``lane`` for this process alone, for ``lease`` seconds.

    None when nothing waits, when the first one is not due yet, or when another worker has it.
    Raises DeliveryPostponed when it is due in a moment.
    """
    now = timezone.now()
    first = _waiting().filter(lane=lane).order_by("number").first()
    if first is None or first.due_at is None:
        return None
    if first.due_at > now:
        wait = (first.due_at - now).total_seconds()
        if wait > SOON:
            return None
        raise DeliveryPostponed("Not due yet", wait)
    # Of those who got so far, one changes the row; the others see that it is not due any more.
    taken = (
        _waiting()
        .filter(pk=first.pk, due_at__lte=now)
        .update(due_at=now + timedelta(seconds=lease), updated_at=now)
    )
    return first if taken else None


def postpone(row: WebhookDelivery, seconds: float) -> None:
    """Let workers take ``row`` again after ``seconds``."""
    _waiting().filter(pk=row.pk).update(due_at=timezone.now() + timedelta(seconds=seconds))


def stuck(seconds: float) -> list[tuple[str, str]]:
    """Return lane and application where the first row has been due for ``seconds``.

    The job for it was lost: with a worker that was killed, or a broker that was away.
    """
    firsts = _waiting().order_by().values("lane").annotate(first=Min("number")).values("first")
    before = timezone.now() - timedelta(seconds=seconds)
    # The second moment is for new rows, which are due since ever.
    late = _waiting().filter(number__in=firsts, due_at__lt=before, updated_at__lt=before)
    return list(late.order_by("number").values_list("lane", "app_id"))


def settle_lost(seconds: float) -> int:
    """Give up rows of server processes that ended ``seconds`` or more ago; return how many."""
    status = _model().Status
    before = timezone.now() - timedelta(seconds=seconds)
    lost = rows().filter(status=status.PENDING, due_at=None, retry_until__lt=before)
    return lost.update(status=status.FAILED, last_error=LOST, updated_at=timezone.now())


def remove_old() -> int:
    """Remove rows older than ``LOG_DAYS``, a bounded number of them; return how many."""
    before = timezone.now() - timedelta(days=get_settings().webhooks.log_days)
    old = rows().filter(created_at__lt=before).order_by("created_at")
    numbers = list(old.values_list("pk", flat=True)[:REMOVE_AT_ONCE])
    if not numbers:
        return 0
    removed, _ = rows().filter(pk__in=numbers).delete()
    return removed


def later(work: Callable[[], object]) -> None:
    """Do ``work`` of this module on the thread; without a database deliveries go on unlogged."""
    thread.submit(partial(_unless_away, work))


async def on_thread(work: Callable[[], T]) -> T:
    """Return what ``work`` returns on the thread, or raise what it raises."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever waits must hear of it
            future.set_exception(error)

    if not thread.submit(run):
        raise Unavailable("Too much waits for the database")
    return await asyncio.wrap_future(future)


def is_away() -> bool:
    """Whether the database did not take the last delivery."""
    return _is_away


def complain(error: BaseException) -> None:
    """Note that the database does not take deliveries; warn when it begins."""
    global _is_away
    if _is_away:
        return
    _is_away = True
    logger.warning(
        "Webhook deliveries cannot be kept in the database (%s: %s). They go out all the same,"
        " from the server process. Run migrate, or set BROADCASTING['WEBHOOKS']['LOG'] to False.",
        type(error).__name__,
        error,
    )


def withdraw() -> None:
    """Note that the database takes deliveries again."""
    global _is_away
    _is_away = False


def _unless_away(work: Callable[[], object]) -> None:
    try:
        work()
    except UNAVAILABLE as error:
        complain(error)
    else:
        withdraw()


def _remove_sometimes() -> None:
    global _since_removal
    is_time = _since_removal == 0
    _since_removal = (_since_removal + 1) % REMOVE_AFTER
    if not is_time:
        return
    try:
        settle_lost(2 * get_settings().webhooks.timeout)
        remove_old()
    except Exception:  # the new row is kept all the same, and that is what the caller asks for
        logger.exception("Old webhook deliveries could not be removed")


def _model() -> type[WebhookDelivery]:
    try:
        model: type[WebhookDelivery] = apps.get_model("broadcasting", "WebhookDelivery")
    except LookupError as error:  # not installed: sockets alone need no models
        raise Unavailable(str(error)) from error
    return model


def rows() -> QuerySet[WebhookDelivery]:
    """Return all rows, from the database they are written to: a replica may lag behind."""
    model = _model()
    return model.objects.using(router.db_for_write(model))


def at_once() -> datetime:
    """Return the moment ``AT_ONCE`` as this project's database takes it."""
    return _moment(AT_ONCE.timestamp())


def _waiting() -> QuerySet[WebhookDelivery]:
    return rows().filter(status=_model().Status.PENDING, due_at__isnull=False)


def _moment(seconds: float) -> datetime:
    moment = datetime.fromtimestamp(seconds, UTC)
    # Of this project's kind: without USE_TZ the database takes naive ones only.
    return moment if timezone.is_aware(timezone.now()) else timezone.make_naive(moment)
