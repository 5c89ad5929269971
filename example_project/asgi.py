"""Sockets and HTTP API in front of the site."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from broadcasting.asgi import get_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

application = get_application(get_asgi_application())
