"""The bare project with an ASGI application that lets nobody in."""

from __future__ import annotations

from tests.server.bare_settings import *  # noqa: F403

ASGI_APPLICATION = "tests.server.guarded.application"
