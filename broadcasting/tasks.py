"""Where Celery's ``autodiscover_tasks()`` finds our one task, and with it the jobs it runs."""

from broadcasting import broadcasts
from broadcasting.queues.celery import run_job

__all__ = ["broadcasts", "run_job"]
