"""Jobs through Celery: one task of our own, JSON only, and never a request held for long.

Celery's defaults retry a dead broker without end, so messages go through a connection
pool of our own whose sockets time out; and the task has its own retry policy. Knows
nothing of what the jobs do.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn

from django.core.exceptions import ImproperlyConfigured

from broadcasting.conf import get_settings
from broadcasting.exceptions import QueueUnavailable
from broadcasting.forking import ForkSafeLock
from broadcasting.outage import Outage
from broadcasting.queues.base import (
    BaseQueue,
    JobOptions,
    Payload,
    give_up,
    left_to_do,
    run,
    wait_before,
)

try:
    from celery import Task, current_app, shared_task
    from celery.exceptions import Reject
    from kombu.exceptions import LimitExceeded, OperationalError
    from kombu.pools import ProducerPool

    from broadcasting.queues.celery_redis import Connections
except ImportError as error:
    raise ImproperlyConfigured(
        "BROADCASTING['QUEUE']: 'celery' needs Celery: pip install 'django-broadcasting[celery]'"
    ) from error

TIME_TO_STOP = 5.0
"""Seconds between the ``timeout`` of a job and the end of the process that still runs it."""

POOL_SIZE = 10
"""Connections to the broker that one process may hold for us."""


# Where the broker of the worker itself is gone, fail at once instead of holding the worker.
_TRY_ONCE = {"max_retries": 0}


@shared_task(bind=True, name="broadcasting.run", ignore_result=True, serializer="json")
def run_job(
    self: Task[Any, None], job: str, payload: Payload, tries: int, backoff: list[float]
) -> None:
    """Run ``job``; try what failed for want of a transport again, ``tries`` times in all.

    ``backoff``: seconds between attempts, the last one repeats. Any other error is a
    mistake in the program and not repeated.
    """
    try:
        run(job, payload)
    except Exception as error:
        attempt = self.request.retries + 1
        wait = wait_before(attempt, backoff, error)
        may_retry = attempt < tries and not _expires_within(wait, self.request.expires)
        left = left_to_do(job, payload, error) if may_retry else None
        if left is None:
            if _is_last_to_know(self.request):
                give_up(job, payload, error)
            raise
        try:
            raise self.retry(
                args=(*left, tries, backoff),
                exc=error,
                countdown=wait,
                max_retries=tries - 1,
                retry_policy=_TRY_ONCE,
                **_shown(job, self.request.shadow),
            ) from error
        except Reject:
            # The broker did not take it.
            give_up(*left, error)
            raise


def _expires_within(seconds: float, expires: object) -> bool:
    """Whether a job has expired in ``seconds``; ``expires``: as its message says it."""
    if not isinstance(expires, str):
        return False
    ends = datetime.fromisoformat(expires)
    return datetime.now(ends.tzinfo) + timedelta(seconds=seconds) >= ends


def _is_last_to_know(request: Any) -> bool:
    """Whether nobody who pushed the job sees what it raises."""
    return not (request.is_eager and current_app.conf.task_eager_propagates)


def _shown(job: str, label: str | None) -> dict[str, Any]:
    """Return what workers and monitors see of a job, where its payload has no business."""
    return {"argsrepr": repr((job, label or "")), "shadow": label or None}


class CeleryQueue(BaseQueue):
    """One message for each job, on the broker of the project's Celery application."""

    known_options: ClassVar[frozenset[str] | None] = frozenset({"queue", "expires"})
    supports_delay = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._outage = Outage("queue")
        self._lock = ForkSafeLock()
        self._pool: ProducerPool | None = None
        _queues.add(self)

    @property
    def leaves_process(self) -> bool:  # type: ignore[override]
        """Not with ``task_always_eager``, which runs jobs at once and asks no broker."""
        return not current_app.conf.task_always_eager

    def push(self, job: str, payload: Payload, options: JobOptions) -> None:
        message: dict[str, Any] = {
            "args": (job, payload, options.tries, list(options.backoff)),
            "queue": options.queue or self.default_name,
            "expires": options.delay + self.expires(options),
            "serializer": "json",
            "ignore_result": True,
            **_shown(job, options.label),
        }
        if options.delay:
            message["countdown"] = options.delay
        if options.timeout is not None:
            # The soft limit lets the job clean up; the hard one ends a worker that cannot.
            message["soft_time_limit"] = options.timeout
            message["time_limit"] = options.timeout + TIME_TO_STOP
        if not self.leaves_process:
            # What it raises is the job's own, and no broker's.
            run_job.apply_async(**message)
            return
        was_down = self._outage.down
        if not self._outage.allows():
            raise QueueUnavailable("The broker did not answer the last time it was tried")
        timeout = get_settings().publish_timeout
        pool = self._ready(timeout)
        try:
            with pool.acquire(block=True, timeout=timeout) as producer:
                # Others have found out while this one waited for its turn.
                if self._outage.down and not was_down:
                    raise QueueUnavailable("The broker did not answer a moment ago")
                run_job.apply_async(
                    **message, producer=producer, retry=True, retry_policy=_TRY_ONCE
                )
        except _transport_errors(pool) as error:
            self._failed(pool, error)
        except Exception:
            # A mistake in the program; but nobody knows what it left in the connection.
            self._renew(pool)
            raise
        self._outage.succeeded()

    async def apush(self, job: str, payload: Payload, options: JobOptions) -> None:
        # Not Django's own thread: that one would stand still while the broker is silent.
        await asyncio.to_thread(self.push, job, payload, options)

    def after_fork(self) -> None:
        """Begin anew in a forked child, since the sockets belong to the parent."""
        if self._pool is not None:
            # Kept alive, since closing it would hang up on the parent's broker too.
            _inherited.append(self._pool)
        self._pool = None
        self._outage = Outage("queue")

    def _ready(self, timeout: float) -> ProducerPool:
        pool = self._pool
        if pool is not None:
            return pool
        with self._lock:
            if self._pool is None:
                connection = current_app.connection_for_write(
                    transport_options={
                        # Redis and Valkey.
                        "socket_timeout": timeout,
                        "socket_connect_timeout": timeout,
                        # RabbitMQ.
                        "connect_timeout": timeout,
                        "read_timeout": timeout,
                        "write_timeout": timeout,
                    }
                )
                self._pool = ProducerPool(Connections(connection, limit=POOL_SIZE), limit=POOL_SIZE)
            return self._pool

    def _renew(self, pool: ProducerPool) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None

    def _failed(self, pool: ProducerPool, error: Exception) -> NoReturn:
        self._outage.failed(error)
        # A connection that timed out may still get the answer to an older question.
        self._renew(pool)
        reason = str(error) or type(error).__name__
        raise QueueUnavailable(f"The broker did not take the job: {reason}") from error


def _transport_errors(pool: ProducerPool) -> tuple[type[Exception], ...]:
    """Return what tells of a broker that is away; anything else is a mistake in the program."""
    connection = pool.connections.connection
    known: set[Any] = {OperationalError, LimitExceeded, OSError}
    known |= {*connection.connection_errors, *connection.channel_errors}
    # Listed by kombu for a race of its own; and what a queue that is not declared raises.
    return tuple(known - {KeyError})


def _after_fork() -> None:
    for queue in tuple(_queues):
        queue.after_fork()


_queues: weakref.WeakSet[CeleryQueue] = weakref.WeakSet()
_inherited: list[ProducerPool] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
