"""The site's Celery application: ``celery -A tests.liveapp.celery worker``."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live_settings")

app = Celery("liveapp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
