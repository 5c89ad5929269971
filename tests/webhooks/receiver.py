"""An endpoint that is told of webhooks: a real HTTP server that can be as bad as it likes.

Imports nothing of the package; signatures are checked by Pusher's own library.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.live import PATIENCE

HANG: Final = 0
"""An answer that does not come while the receiver lives."""

DIE: Final = -1
"""The connection ends without an answer."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What came, and what was answered."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    answer: int

    @property
    def id(self) -> str:
        return self.headers["x-webhook-id"]

    @property
    def ok(self) -> bool:
        return 200 <= self.answer < 300

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def events(self) -> list[Event]:
        events: list[Event] = self.content["events"]
        return events


@dataclass
class Receiver:
    """What came so far. ``answer`` decides about each request by its number, path and id."""

    answer: Callable[[int, str, str], int] = lambda number, path, webhook_id: 200
    extra: dict[str, str] = field(default_factory=dict)
    """Headers of every answer."""

    requests: list[Request] = field(default_factory=list)
    seen: int = 0
    connections: int = 0
    """Those that are open."""

    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    def taken(self, path: str = "/") -> list[Request]:
        """Return the requests to ``path`` that were answered well."""
        return [r for r in tuple(self.requests) if r.ok and r.path == path]

    def events(self, path: str = "/") -> list[Event]:
        """Return the events that arrived at ``path``, in order, each request once."""
        first: dict[str, Request] = {}
        for request in self.taken(path):
            first.setdefault(request.id, request)
        return [event for request in first.values() for event in request.events]

    def wait(self, arrived: Callable[[Receiver], bool]) -> None:
        """Return once ``arrived`` holds; raise with what came if it does not."""
        with self.changed:
            if self.changed.wait_for(lambda: arrived(self), PATIENCE):
                return
        raise AssertionError([(r.path, r.answer, r.content) for r in self.requests])

    def wait_for(self, number: int, path: str = "/") -> list[Event]:
        """Return the first ``number`` events at ``path``, once so many are there."""
        self.wait(lambda receiver: len(receiver.events(path)) >= number)
        return self.events(path)

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        """Count a connection while it is open."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self.changed:
            self.connections += change
            self.changed.notify_all()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Decide about a request, and note it."""
        low = {name.lower(): value for name, value in headers.items()}
        with self.changed:
            self.seen += 1
            answer = self.answer(self.seen, path, low.get("x-webhook-id", ""))
            self.requests.append(Request(path, low, body, answer))
            self.changed.notify_all()
        return answer


@contextlib.contextmanager
def receiving(
    answer: Callable[[int, str, str], int] | None = None,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """A receiver that listens; on ``port``, or on any; behind ``tls``, or plainly."""
    receiver = Receiver()
    if answer is not None:
        receiver.answer = answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with receiver.connected():
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(self.path, dict(self.headers.items()), body)
            if status in (HANG, DIE):
                if status == HANG:
                    receiver.ended.wait(PATIENCE)
                self.close_connection = True
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url + "elsewhere")
            for name, value in receiver.extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.port = server.server_port
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            server.shutdown()
            thread.join()
