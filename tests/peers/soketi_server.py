"""soketi as npm has it: a foreign server of Pusher's protocol and HTTP API."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.live import free_port, spawn, stop, wait_for_port
from tests.node.process import executable

FOLDER = Path(__file__).parent / "soketi"
OLDEST, NEWEST = 16, 20
"""Releases of node that its compiled part is there for."""


def missing() -> str | None:
    """Return why it cannot run here, or None if it can."""
    node = executable()
    if node is None:
        return "node is not installed"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if not OLDEST <= int(said.strip()[1:].partition(".")[0]) <= NEWEST:
        return f"soketi runs on node {OLDEST} to {NEWEST}, and this one is {said.strip()}"
    if not (FOLDER / "node_modules" / "@soketi" / "soketi").is_dir():
        return f"the packages of {FOLDER.name} are not installed: run npm ci there, or ./dev test"
    return None


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The port of a server with the application ``app`` of the suite's own settings."""
    port = free_port()
    options = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "METRICS_ENABLED": "false",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_SERVER_PORT": str(free_port()),
        # It looks for other nodes whatever its adapter is; not beyond this machine.
        "CLUSTER_HOST": "127.0.0.1",
        "CLUSTER_PORT": str(free_port()),
        "CLUSTER_UNICAST_ADDRESSES": "127.0.0.1",
        "DEFAULT_APP_ID": "app",
        "DEFAULT_APP_KEY": "app-key",
        "DEFAULT_APP_SECRET": "app-secret",
        # Without it nobody can sign in; with it, who does not is soon disconnected.
        "DEFAULT_APP_USER_AUTHENTICATION": "true",
        "USER_AUTHENTICATION_TIMEOUT": "600000",
        "SHUTDOWN_GRACE_PERIOD": "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        script = FOLDER / "node_modules" / "@soketi" / "soketi" / "bin" / "server.js"
        command = [executable() or "node", str(script), "start"]
        command.append(f"--config={FOLDER / 'config.json'}")
        env = {f"SOKETI_{name}": value for name, value in options.items()}
        process = spawn(command, env | {"NODE_NO_WARNINGS": "1"}, log)
        try:
            wait_for_port(port, process, log)
            yield port
        finally:
            stop(process)
