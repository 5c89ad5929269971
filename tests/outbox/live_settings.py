"""Settings of the publishers and relays that tests start, and kill; they share a database."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import BROADCASTING as _BROADCASTING
from tests.settings import DATABASES as _DATABASES

if _socket := os.environ.get("OUTBOX_POSTGRES"):
    DATABASES = _DATABASES | {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("OUTBOX_DATABASE", "postgres"),
            "USER": "postgres",
            "HOST": _socket,
        }
    }
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"broadcasting": {"handlers": ["console"], "level": "INFO"}},
}
BROADCASTING = _BROADCASTING | {
    "QUEUE": {"BACKEND": "outbox", "OPTIONS": json.loads(os.environ.get("OUTBOX_OPTIONS", "{}"))}
}
if "OUTBOX_FILE" in os.environ:
    BROADCASTING["BROADCASTERS"] = {
        "default": {"BACKEND": "tests.outbox.program.FileBroadcaster"},
    }
