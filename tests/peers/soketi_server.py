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
NEWEST = 20
"""Release of node up to which its compiled part is there."""


def node() -> str | None:
    """Return a node that can run it: the one installed beside it, or else the machine's."""
    beside = sorted(FOLDER.glob("node_modules/node-linux-*/bin/node"))
    if beside:
        return str(beside[0])
    found = executable()
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return found if int(said.strip()[1:].partition(".")[0]) <= NEWEST else None


def missing() -> str | None:
    """Return why it cannot run here, or None if it can."""
    if not (FOLDER / "node_modules" / "@soketi" / "soketi").is_dir():
        return f"the packages of {FOLDER.name} are not installed: run npm ci there, or ./dev test"
    if node() is None:
        return f"soketi wants a node of release {NEWEST} or older"
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
        command = [node() or "node", str(script), "start"]
        command.append(f"--config={FOLDER / 'config.json'}")
        env = {f"SOKETI_{name}": value for name, value in options.items()}
        process = spawn(command, env | {"NODE_NO_WARNINGS": "1"}, log)
        try:
            wait_for_port(port, process, log)
            yield port
        finally:
            stop(process)
