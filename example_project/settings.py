"""Settings of the example: one process and SQLite, until the environment says otherwise.

DEMO_DATABASE         path of the SQLite file
DEMO_DEBUG            0 turns DEBUG off
REDIS_URL             carries envelopes, keeps who is where, and is the broker of Celery
BROADCAST_QUEUE       sync, celery, tasks or outbox (with manage.py broadcasting_relay)
BROADCAST_CONNECTION  alias of the default broadcaster: default, log or null
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent

REDIS_URL = os.environ.get("REDIS_URL", "")

SECRET_KEY = "example-only-never-use-this-key-anywhere-else-0123456789abcdef"
DEBUG = os.environ.get("DEMO_DEBUG", "1") != "0"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "broadcasting",
    "example_project.home",
    "example_project.orders",
    "example_project.chat",
    "example_project.ticker",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.home.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "broadcasting.middleware.SocketIdMiddleware",
]

ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
WSGI_APPLICATION = "example_project.wsgi.application"

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
        "NAME": os.environ.get("DEMO_DATABASE") or BASE_DIR / "db.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            # Readers do not wait for writers, and a write never begins as a read.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "orders:list"
LOGOUT_REDIRECT_URL = "home"

BROADCASTING: dict[str, Any] = {
    "BROADCASTERS": {
        "default": {"BACKEND": "channels"},
        "log": {"BACKEND": "log"},
        "null": {"BACKEND": "null"},
    },
    "DEFAULT_BROADCASTER": os.environ.get("BROADCAST_CONNECTION", "default"),
    "QUEUE": {"BACKEND": os.environ.get("BROADCAST_QUEUE", "sync")},
    "APPLICATIONS": [
        {
            "id": "app",
            "key": "app-key",
            "secret": "app-secret",
            "name": "Kiln",
            # The chat whispers who is typing, from browser to browser.
            "enable_client_events": True,
        }
    ],
}

if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
    BROADCASTING["BACKPLANE"] = {"BACKEND": "channel_layer"}
    BROADCASTING["REGISTRY"] = {"BACKEND": "redis", "OPTIONS": {"url": REDIS_URL}}
    # Celery has its own word for a unix socket.
    CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)

CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
