"""The live site as a WSGI process without sockets: ``python -m tests.liveapp.wsgi PORT``.

Nothing but the standard library's server, one thread a request, as a site on WSGI has it.
"""

from __future__ import annotations

import os
import signal
import sys
from socketserver import ThreadingMixIn
from types import FrameType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live_settings")

application = get_wsgi_application()


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the log is for the package's own words."""


def end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    with make_server(
        "127.0.0.1", int(sys.argv[1]), application, server_class=Threads, handler_class=Quiet
    ) as server:
        server.serve_forever()
