"""A project without a database and without an ASGI application of its own."""

from __future__ import annotations

import os

SECRET_KEY = "test-only-secret-key-of-at-least-fifty-characters-long-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels", "broadcasting"]
ROOT_URLCONF = "tests.server.bare_settings"
DATABASES: dict[str, object] = {}
BROADCASTING = {
    "APPLICATIONS": [{"id": "1", "key": "app-key", "secret": "app-secret"}],
    "SERVER": {"PATH": os.environ.get("BARE_PATH", ""), "DRAIN_SECONDS": 1},
}
urlpatterns: list[object] = []
