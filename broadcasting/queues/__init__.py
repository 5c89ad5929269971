"""Where jobs wait: ``sync`` (not at all), ``celery``, ``tasks`` (Django's) or ``outbox``."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from broadcasting.conf import get_settings
from broadcasting.families import OneBackend
from broadcasting.queues.base import BaseQueue, JobOptions, arun, give_up, left_to_do, register, run

__all__ = [
    "BaseQueue",
    "JobOptions",
    "arun",
    "check_can_wait",
    "get_queue",
    "give_up",
    "left_to_do",
    "register",
    "run",
]

SHORT_NAMES = {
    "sync": "broadcasting.queues.sync.SyncQueue",
    "celery": "broadcasting.queues.celery.CeleryQueue",
    "tasks": "broadcasting.queues.tasks.TasksQueue",
    "outbox": "broadcasting.queues.outbox.OutboxQueue",
}

get_queue = OneBackend[BaseQueue]("['QUEUE']", SHORT_NAMES, lambda settings: settings.queue)
"""Return this process's queue. Raises ImproperlyConfigured."""


def check_can_wait(name: str) -> None:
    """Raise ImproperlyConfigured if the queue cannot keep the delay of what is called ``name``."""
    if not get_queue().supports_delay:
        raise ImproperlyConfigured(
            f"{name}: a delay needs a queue that can wait; BROADCASTING['QUEUE'] is"
            f" {get_settings().queue.backend!r}. Use 'celery', 'outbox', or 'tasks' with a backend"
            " that can."
        )
