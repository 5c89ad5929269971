"""Settings of the test suite: one site that has everything, with durations cut short."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

_SCRATCH = Path(os.environ.get("BROADCASTING_TEST_DIR", tempfile.gettempdir()))

SECRET_KEY = "test-only-secret-key-of-at-least-fifty-characters-long-0123456789"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
ASGI_APPLICATION = "tests.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework.authtoken",
    "channels",
    "broadcasting",
    "tests.testapp",
    "tests.blog",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "broadcasting.middleware.SocketIdMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("BROADCASTING_TEST_DATABASE", _SCRATCH / "broadcasting.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    },
    "other": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _SCRATCH / "broadcasting-other.sqlite3",
    },
}

BROADCASTING: dict[str, Any] = {
    "BROADCASTERS": {
        "default": {"BACKEND": "channels"},
        "log": {"BACKEND": "log"},
        "null": {"BACKEND": "null"},
        "locmem": {"BACKEND": "locmem"},
    },
    "APPLICATIONS": [
        {
            "id": "app",
            "key": "app-key",
            "secret": "app-secret",
            "name": "Tests",
            "enable_client_events": True,
        },
        {"id": "second", "key": "second-key", "secret": "second-secret"},
    ],
    # Seconds: the machine may be busy with other tests. What is about the limit sets its own.
    "PUBLISH_TIMEOUT": float(os.environ.get("BROADCAST_PUBLISH_TIMEOUT", 10)),
}

# Server and worker processes of the suite share these settings and differ by environment.
if _url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [_url]},
        }
    }
    _name = os.environ.get("BROADCAST_BACKPLANE", "channel_layer")
    BROADCASTING["BACKPLANE"] = {
        "BACKEND": _name,
        "OPTIONS": {"url": _url} if _name == "redis" else {},
    }
    if _lease := os.environ.get("BROADCAST_LEASE"):
        # Seconds: how fast a dead node is noticed, for tests that cannot wait.
        BROADCASTING["REGISTRY"] = {
            "BACKEND": "redis",
            "OPTIONS": {
                "url": _url,
                "heartbeat": float(_lease) / 3,
                "lease": float(_lease),
                "sweep": float(_lease) / 9,
            },
        }
if _queue := os.environ.get("BROADCAST_QUEUE"):
    BROADCASTING["QUEUE"] = {"BACKEND": _queue}
if os.environ.get("BROADCAST_RESCUE"):
    BROADCASTING["RESCUE"] = True
