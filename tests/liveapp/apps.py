from __future__ import annotations

from django.apps import AppConfig


class LiveAppConfig(AppConfig):
    name = "tests.liveapp"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # A Celery app must exist before the first task is published.
        from tests.liveapp import celery

        del celery
