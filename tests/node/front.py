"""A port that never closes, as a load balancer or systemd keeps one, before a restarting server.

pusher-js gives each attempt to connect 15 seconds, even when it is refused at once; behind
this, its first attempt waits for the server instead.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from threading import Event, Thread

from tests.live import PATIENCE


class Front:
    """Passes bytes on to ``backend`` (a port), waiting for it to listen."""

    def __init__(self, backend: int) -> None:
        self.backend = backend
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.closing = Event()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # closed by us
                return
            Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client: socket.socket) -> None:
        """Join a client and the server until one of them ends."""
        with client:
            server = self.reach()
            if server is None:
                return
            with server:
                back = Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

    def reach(self) -> socket.socket | None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self.closing.is_set():
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.backend))
            time.sleep(0.05)  # nothing announces an open port
        return None


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def fronting(backend: int) -> Iterator[Front]:
    """A front, closed afterwards."""
    front = Front(backend)
    thread = Thread(target=front.serve)
    thread.start()
    try:
        yield front
    finally:
        front.closing.set()
        front.listener.shutdown(socket.SHUT_RDWR)
        front.listener.close()
        thread.join()
