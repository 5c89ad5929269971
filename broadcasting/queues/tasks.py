"""Jobs through Django's tasks framework: ``django.tasks``, or ``django-tasks`` on Django 5.2.

``OPTIONS``: ``backend``, an alias of ``TASKS`` (default ``default``), ``queue`` and ``expires``.
What a push may cost is the backend's own affair. Knows nothing of what the jobs do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from broadcasting.conf import get_settings
from broadcasting.exceptions import PublishError, QueueUnavailable
from broadcasting.queues.base import (
    DEFAULT_NAME,
    BaseQueue,
    JobOptions,
    Payload,
    give_up,
    left_to_do,
    run,
    wait_before,
)

logger = logging.getLogger("broadcasting.queue")


def _framework() -> Any:
    for name in ("django.tasks", "django_tasks"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ImproperlyConfigured(
        "BROADCASTING['QUEUE']: 'tasks' needs Django 6.0 or, on Django 5.2, the package"
        " django-tasks: pip install 'django-broadcasting[tasks]'"
    )


framework = _framework()


def backend_alias() -> str:
    """Return the alias of ``TASKS`` that jobs go through."""
    queue = get_settings().queue
    return str(queue.options.get("backend", framework.DEFAULT_TASK_BACKEND_ALIAS))


def default_queue(alias: str) -> str:
    """Return the name of the queue for jobs that name none."""
    chosen = get_settings().queue.options.get("queue")
    if chosen is not None:
        return str(chosen)
    allowed = framework.task_backends[alias].queues
    # Unless told otherwise a backend knows one queue only, and refuses ours.
    if not allowed or DEFAULT_NAME in allowed:
        return DEFAULT_NAME
    return str(framework.DEFAULT_TASK_QUEUE_NAME)


def _run_job(
    context: Any,
    job: str,
    payload: Payload,
    tries: int,
    backoff: list[float],
    expires_at: float,
    attempt: int = 1,
) -> None:
    """Run ``job``, unless it is older than ``expires_at`` (seconds since the epoch).

    What failed for want of a transport is enqueued again, ``tries`` times in all, if the backend
    can run tasks later and it is not too old by then.
    """
    if time.time() > expires_at:
        logger.info("Dropped the job %s: it has waited too long", job)
        return
    try:
        run(job, payload)
    except Exception as error:
        task = context.task_result.task
        wait = wait_before(attempt, backoff, error)
        in_time = time.time() + wait <= expires_at
        may_retry = attempt < tries and in_time and task.get_backend().supports_defer
        left = left_to_do(job, payload, error) if may_retry else None
        if left is None:
            _give_up(job, payload, error)
            raise
        again = task.using(run_after=timezone.now() + timedelta(seconds=wait))
        try:
            again.enqueue(*left, tries, backoff, expires_at, attempt + 1)
        except Exception:
            _give_up(*left, error)
            raise


def _give_up(job: str, payload: Payload, error: Exception) -> None:
    # Where it ran at once, whoever pushed it sees the failure.
    from broadcasting.queues import get_queue

    if get_queue().leaves_process:
        give_up(job, payload, error)


# Workers import a task by the path of its function, so the two must share a name.
_run_job.__name__ = _run_job.__qualname__ = "run_job"
run_job: Any = framework.task(
    _run_job,
    takes_context=True,
    backend=backend_alias(),
    queue_name=default_queue(backend_alias()),
)


class TasksQueue(BaseQueue):
    """Enqueue every job as one task, ``broadcasting.queues.tasks.run_job``."""

    known_options: ClassVar[frozenset[str] | None] = frozenset({"backend", "queue", "expires"})

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.alias = backend_alias()
        self.default_name = default_queue(self.alias)
        immediate = import_module(f"{framework.__name__}.backends.immediate")
        backend = framework.task_backends[self.alias]
        self.leaves_process = not isinstance(backend, immediate.ImmediateBackend)
        self.supports_delay = backend.supports_defer

    def push(self, job: str, payload: Payload, options: JobOptions) -> None:
        task = self._task(options)
        try:
            result = task.enqueue(*self._arguments(job, payload, options))
        except Exception as error:  # each backend raises its own transport's errors
            raise _unavailable(error) from error
        _check(result)

    async def apush(self, job: str, payload: Payload, options: JobOptions) -> None:
        task = self._task(options)
        try:
            result = await task.aenqueue(*self._arguments(job, payload, options))
        except Exception as error:
            raise _unavailable(error) from error
        _check(result)

    def _task(self, options: JobOptions) -> Any:
        # Raises Django's InvalidTask for a queue that the backend does not have.
        task = run_job.using(backend=self.alias, queue_name=options.queue or self.default_name)
        if not options.delay:
            return task
        return task.using(run_after=timezone.now() + timedelta(seconds=options.delay))

    def _arguments(self, job: str, payload: Payload, options: JobOptions) -> tuple[Any, ...]:
        expires_at = time.time() + options.delay + self.expires(options)
        return job, payload, options.tries, [*options.backoff], expires_at


def _unavailable(error: Exception) -> QueueUnavailable:
    return QueueUnavailable(f"The task was not taken: {type(error).__name__}: {error}")


def _check(result: Any) -> None:
    """Raise PublishError if the task ran at once and failed, as it does without a worker."""
    if result.status == "FAILED":
        # No more than the name of the error: the rest is a traceback, for the log.
        cause = result.errors[-1].exception_class_path if result.errors else "unknown error"
        raise PublishError(f"The task ran at once and failed: {cause}")
