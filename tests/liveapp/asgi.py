from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live_settings")

from broadcasting.asgi import get_application

application = get_application(get_asgi_application())
