"""Channels routes of the sockets, for projects that compose their ASGI application themselves.

``broadcasting.asgi.get_application`` does it all and is the short way.
"""

from __future__ import annotations

import re
from typing import Any

from django.urls import re_path

from broadcasting.conf import get_settings
from broadcasting.consumers import PusherConsumer


def socket_urlpatterns() -> list[Any]:
    """Return the routes under the ``SERVER.PATH`` of this moment."""
    prefix = re.escape(get_settings().server.path.lstrip("/"))
    return [
        re_path(
            rf"^{prefix + '/' if prefix else ''}app/(?P<key>[^/]+)/?$",
            PusherConsumer.as_asgi(),
        )
    ]


websocket_urlpatterns = socket_urlpatterns()
