from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live_settings")

from broadcasting.asgi import get_application
from broadcasting.typing import AsgiApplication, Receive, Scope, Send


def with_asgi_only(sockets: AsgiApplication) -> AsgiApplication:
    """Return what serves sockets without what our own server lends them beside ASGI."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        lent = scope.get("extensions") or {}
        kept = {name: value for name, value in lent.items() if not name.startswith("broadcasting.")}
        await sockets({**scope, "extensions": kept}, receive, send)

    return serve


application = get_application(get_asgi_application())
if os.environ.get("LIVE_LANE") == "off":
    # Inside: what stands around an application costs it its quick answers.
    application._sockets = with_asgi_only(application._sockets)
