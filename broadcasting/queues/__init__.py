"""Where jobs wait: ``sync`` (not at all), ``celery`` or ``tasks`` (Django's tasks)."""

from __future__ import annotations

from broadcasting.families import OneBackend
from broadcasting.queues.base import BaseQueue, JobOptions, arun, give_up, left_to_do, register, run

__all__ = [
    "BaseQueue",
    "JobOptions",
    "arun",
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
}

get_queue = OneBackend[BaseQueue]("['QUEUE']", SHORT_NAMES, lambda settings: settings.queue)
"""Return this process's queue. Raises ImproperlyConfigured."""
