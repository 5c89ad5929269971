"""laravel-echo-server as npm has it, and pages with Echo that are connected to it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Valkey
from tests.live import free_port, spawn, stop, wait_for_line
from tests.node.process import Tab, executable

FOLDER = Path(__file__).parent / "laravel-echo-server"
PREFIX = "app_"


def missing() -> str | None:
    """Return why it cannot run here, or None if it can."""
    if executable() is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "laravel-echo-server").is_dir():
        return f"the packages of {FOLDER.name} are not installed: run npm ci there, or ./dev test"
    return None


@contextlib.contextmanager
def serving(valkey: Valkey, site: str, endpoint: str) -> Iterator[int]:
    """The port of a server that asks ``site`` about its clients."""
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "authHost": site,
        "authEndpoint": endpoint,
        "databaseConfig": {"redis": {"path": str(valkey.path), "keyPrefix": PREFIX}},
        "subscribers": {"http": False, "redis": True},
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "laravel-echo-server.json").write_text(json.dumps(settings), encoding="utf-8")
        log = place / "log"
        script = FOLDER / "node_modules" / "laravel-echo-server" / "bin" / "server.js"
        command = [executable() or "node", str(script), "start", "--dir", folder]
        process = spawn(command, {"NODE_NO_WARNINGS": "1"}, log)
        try:
            wait_for_line(log, "Server ready!", process)
            yield port
        finally:
            stop(process)


@dataclass
class SocketIoPage(Tab):
    """One browser tab; its bearer token says who the user is."""

    port: int = 0
    """Of laravel-echo-server."""

    def connect(self) -> str:
        """Make its Echo, and return the socket id once it is connected."""
        options = {
            "broadcaster": "socket.io",
            "host": f"http://127.0.0.1:{self.port}",
            "namespace": False,
            "bearerToken": self.user,
        }
        self.node.events(self.name)
        self.do("open", options=options)
        self.wait("connected")
        return str(self.do("socketId"))

    def listen(self, kind: str, name: str) -> None:
        """Enter a channel (kind: one of Echo's methods) and tell of what happens there."""
        self.do("listen", kind=kind, name=name, **{"as": "Happened"})

    def dispatch(self, channel: str, number: int, **wish: object) -> None:
        """Have a Django view dispatch an event, the request bearing this page's socket id."""
        body = {"channel": channel, "number": number, **wish}
        answer = self.do("post", url=f"{self.server.url}/dispatch/", body=body)
        assert answer["status"] == 200, answer
        assert answer["body"]["error"] is None, answer
