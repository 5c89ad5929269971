"""A project without a database and without an ASGI application of its own."""

from __future__ import annotations

import os
import sys

if os.environ.get("BARE_LOOP") == "asyncio":
    # As where uvloop is not to be had.
    sys.modules["uvloop"] = None  # type: ignore[assignment]

SECRET_KEY = "test-only-secret-key-of-at-least-fifty-characters-long-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels", "broadcasting"]
ROOT_URLCONF = "tests.server.bare_settings"
DATABASES: dict[str, object] = {}
BROADCASTING = {
    "APPLICATIONS": [
        {"id": "1", "key": "app-key", "secret": "app-secret"},
        {"id": "2", "key": "tls-key", "secret": "tls-secret", "require_tls": True},
    ],
    "SERVER": {
        "PATH": os.environ.get("BARE_PATH", ""),
        "DRAIN_SECONDS": 1,
        "MAX_CONNECTIONS_PER_IP": int(os.environ.get("BARE_PER_IP", "0")) or None,
    },
}
urlpatterns: list[object] = []
