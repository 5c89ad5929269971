"""This package's server for the benchmarks: sockets and HTTP API, no site."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "benchmark-only-secret-key-of-more-than-fifty-characters-0123456789"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["channels", "broadcasting"]
ROOT_URLCONF = "tests.benchmarks.ours"
SILENCED_SYSTEM_CHECKS: list[str] = []
BROADCASTING: dict[str, Any] = {
    "APPLICATIONS": [
        {
            "id": "app",
            "key": "app-key",
            "secret": "app-secret",
            # A large channel is worth measuring, though nobody should have one.
            "max_presence_members_per_channel": 100_000,
        }
    ],
}
if _url := os.environ.get("BENCH_REDIS_URL"):
    BROADCASTING["BACKPLANE"] = {"BACKEND": "redis", "OPTIONS": {"url": _url}}
urlpatterns: list[object] = []
