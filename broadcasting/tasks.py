"""Where Celery's ``autodiscover_tasks()`` finds our one task, and with it the jobs it runs."""

from broadcasting import workers
from broadcasting.listeners import jobs as listeners
from broadcasting.queues.celery import run_job
from broadcasting.webhooks import jobs

__all__ = ["jobs", "listeners", "run_job", "workers"]
