"""Settings of the server and worker processes that live tests start."""

from __future__ import annotations

import json
import os
import time

from tests.settings import *  # noqa: F403
from tests.settings import BROADCASTING as _BROADCASTING
from tests.settings import INSTALLED_APPS as _INSTALLED_APPS

if _skew := float(os.environ.get("LIVE_CLOCK_SKEW", "0")):
    # A machine whose clock is wrong by so many seconds, for whoever asks it from here on.
    _time, _time_ns = time.time, time.time_ns
    time.time = lambda: _time() + _skew
    time.time_ns = lambda: _time_ns() + int(_skew * 1e9)
DEBUG = bool(os.environ.get("LIVE_DEBUG"))
ROOT_URLCONF = "tests.liveapp.urls"
ASGI_APPLICATION = os.environ.get("LIVE_ASGI_APPLICATION", "tests.liveapp.asgi.application")
INSTALLED_APPS = [app for app in _INSTALLED_APPS if app != "tests.testapp"] + ["tests.liveapp"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"broadcasting": {"handlers": ["console"], "level": "INFO"}},
}
if _header := os.environ.get("LIVE_PROXY_HEADER"):
    SECURE_PROXY_SSL_HEADER = (_header, "https")
MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BROADCASTING = _BROADCASTING | {
    "CACHE_TTL": float(os.environ.get("LIVE_CACHE_TTL", "1800")),
    # Node has no cookies: the token says who it is.
    "AUTHORIZATION": {"GUARDS": ["tests.liveapp.guards.token_user", "session"]},
    "APPLICATIONS": [
        _BROADCASTING["APPLICATIONS"][0]
        | {"enable_watchlist_events": True, "encryption_master_key": MASTER_KEY},
        *_BROADCASTING["APPLICATIONS"][1:],
        # Pusher's Python library takes ids of digits only.
        {"id": "1001", "key": "digits-key", "secret": "digits-secret"},
        {"id": "1002", "key": "off-key", "secret": "off-secret", "enabled": False},
        {
            "id": "1003",
            "key": "full-key",
            "secret": "full-secret",
            "enable_client_events": True,
            "enable_subscription_count": True,
            "enable_watchlist_events": True,
        },
        {"id": "tls", "key": "tls-key", "secret": "tls-secret", "require_tls": True},
        {"id": "one", "key": "one-key", "secret": "one-secret", "capacity": 1},
        # Two of the same, with everything on, to see if they see each other.
        *(
            {
                "id": name,
                "key": f"{name}-key",
                "secret": f"{name}-secret",
                "enable_client_events": True,
                "enable_subscription_count": True,
                "enable_watchlist_events": True,
            }
            for name in ("left", "right")
        ),
        {
            "id": "known",
            "key": "known-key",
            "secret": "known-secret",
            "enable_user_authentication": True,
            "user_authentication_timeout": 1,
        },
        {
            "id": "rotated",
            "key": "rotated-key",
            "secret": "rotated-secret",
            "previous_secret": "retired-secret",
        },
        {
            "id": "origins",
            "key": "origins-key",
            "secret": "origins-secret",
            "allowed_origins": ["https://app.test", "*.sub.test"],
        },
        {
            "id": "small",
            "key": "small-key",
            "secret": "small-secret",
            "enable_client_events": True,
            "max_message_size": 1_000,
            "max_client_events_per_second": 3,
            "max_presence_members_per_channel": 3,
        },
        {
            "id": "paced",
            "key": "paced-key",
            "secret": "paced-secret",
            "max_messages_per_second": 50,
        },
        {
            "id": "unpaced",
            "key": "unpaced-key",
            "secret": "unpaced-secret",
            "max_messages_per_second": None,
        },
        {
            "id": "once",
            "key": "once-key",
            "secret": "once-secret",
            "enable_replay_protection": True,
        },
        {
            "id": "rated",
            "key": "rated-key",
            "secret": "rated-secret",
            "max_backend_events_per_second": 1,
            "max_read_requests_per_second": 1,
        },
        {
            "id": "loose",
            "key": "loose-key",
            "secret": "loose-secret",
            "previous_secret": "loose-secret-of-before",
            "enable_structured_data": True,
        },
    ],
    "SERVER": {
        "PATH": os.environ.get("LIVE_PATH", ""),
        "ACTIVITY_TIMEOUT": float(os.environ.get("LIVE_ACTIVITY_TIMEOUT", "120")),
        "PONG_TIMEOUT": float(os.environ.get("LIVE_PONG_TIMEOUT", "30")),
        "SLOW_POLICY": os.environ.get("LIVE_SLOW_POLICY", "close"),
        "SUBSCRIPTION_COUNT_INTERVAL": 1,
        "OUTBOX_BYTES": int(os.environ.get("LIVE_OUTBOX_BYTES", "1048576")),
        "DRAIN_SECONDS": float(os.environ.get("LIVE_DRAIN_SECONDS", "2")),
        "DRAIN_DELAY": float(os.environ.get("LIVE_DRAIN_DELAY", "0")),
        "DRAIN_RATE": int(os.environ.get("LIVE_DRAIN_RATE", "1000")),
        "MAX_HANDSHAKES_PER_SECOND": int(os.environ.get("LIVE_HANDSHAKES", "5000")),
        "MAX_SUBSCRIPTIONS_PER_SECOND": int(os.environ.get("LIVE_SUBSCRIPTIONS", "20000")),
    },
}
if _webhook := os.environ.get("LIVE_WEBHOOK"):
    BROADCASTING["APPLICATIONS"].append(
        {
            "id": "told",
            "key": "told-key",
            "secret": "told-secret",
            "webhooks": [{"url": _webhook}],
        }
    )
    BROADCASTING["WEBHOOKS"] = {
        "GRACE": float(os.environ.get("LIVE_GRACE", "0.2")),
        "BATCH_SECONDS": 0,
    }
if _broadcasters := os.environ.get("LIVE_BROADCASTERS"):
    BROADCASTING |= {"BROADCASTERS": json.loads(_broadcasters)}
if _cache := os.environ.get("LIVE_CACHE_URL"):
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": _cache}
    }
if _file := os.environ.get("LIVE_APPLICATIONS"):
    BROADCASTING |= {"APPLICATIONS": "tests.liveapp.applications.FileApplications"}
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
