"""Real server and worker processes for tests: started, awaited, stopped.

What a process prints goes to a file that is shown when it does not come up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parent.parent
SETTINGS = "tests.live_settings"
PATIENCE = 30.0
"""Seconds to wait for a process, on a machine that is busy with other tests."""

Kind = Literal["uvicorn", "daphne", "hypercorn", "wsgi", "gunicorn"]
Way = Kind | Literal["uvicorn-slow-lane"]
"""A server, and how its frames leave: through ASGI where its name says so."""

WAYS: list[Way] = ["uvicorn", "uvicorn-slow-lane", "daphne"]
"""What every promise of the server's is kept on."""


@dataclass
class Server:
    """One process on a port of its own: it holds sockets, unless it serves WSGI."""

    kind: Kind
    port: int
    env: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=lambda: Path(tempfile.mkstemp(suffix=".log")[1]))
    options: tuple[str, ...] = ()
    """More words for ``websockets_serve``."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/app/app-key?protocol=7&client=test&version=1"

    @property
    def lends_lane(self) -> bool:
        """Whether the application gets more from it than ASGI."""
        return self.kind == "uvicorn" and self.env.get("LIVE_LANE") != "off"

    def start(self) -> None:
        """Run it and return once it takes connections."""
        manage = [sys.executable, "-m", "django"]
        command = {
            "uvicorn": [*manage, "websockets_serve", "--port", str(self.port), *self.options],
            "daphne": [*manage, "runserver", "--noreload", f"127.0.0.1:{self.port}"],
            "hypercorn": [
                *(sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{self.port}"),
                *("--graceful-timeout", "1", "tests.liveapp.asgi:application"),
            ],
            "wsgi": [sys.executable, "-m", "tests.liveapp.wsgi", str(self.port)],
            "gunicorn": [
                *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}"),
                *("--workers", "2", "--threads", "4", "--graceful-timeout", "1"),
                "tests.liveapp.wsgi:application",
            ],
        }[self.kind]
        self.process = spawn(command, self.env, self.log)
        wait_for_port(self.port, self.process, self.log)

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit code."""
        if self.process is None:
            return 0
        return stop(self.process, sig)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it to all of its processes, and wait for nothing."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()


def spawn(
    command: list[str], env: Mapping[str, str], log: Path, close_fds: bool = True
) -> subprocess.Popen[bytes]:
    """Start a process of the live site, its output going to ``log``.

    With a ``PYTHONPATH`` in ``env`` it is the site that is found there.
    """
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **env,
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=_folder(env),
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=close_fds,
        )


def stop(process: subprocess.Popen[bytes], sig: signal.Signals = signal.SIGTERM) -> int:
    """Signal a process group; kill what does not end. Returns the exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sig)
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once ``port`` answers; raise with the log if the process ends first."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)  # nothing announces an open port
    raise AssertionError(f"nothing listens on {port}:\n{log.read_text()[-4000:]}")


def wait_for_line(log: Path, text: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once ``text`` stands in ``log``, such as a worker's "ready"."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if text in log.read_text():
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.05)  # another process's file
    raise AssertionError(f"{text!r} did not come:\n{log.read_text()[-4000:]}")


def make_database(folder: Path) -> Path:
    """Return a migrated database with the users ada, bob and cleo."""
    path = folder / "live.sqlite3"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PYTHONPATH": str(ROOT),
        "BROADCASTING_TEST_DATABASE": str(path),
    }
    code = (
        "import django; django.setup();"
        "from django.core.management import call_command as c;"
        "c('migrate', run_syncdb=True, verbosity=0);"
        "from django.contrib.auth.models import User;"
        "[User.objects.create_user(n) for n in ('ada', 'bob', 'cleo')]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    return path


@contextlib.contextmanager
def serving(way: Way, env: Mapping[str, str]) -> Iterator[Server]:
    """A running server, stopped afterwards."""
    if way == "uvicorn-slow-lane":
        server = Server("uvicorn", free_port(), {**env, "LIVE_LANE": "off"})
    else:
        server = Server(way, free_port(), env)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.log.unlink(missing_ok=True)


@contextlib.contextmanager
def working(env: Mapping[str, str], *options: str, supervised: bool = False) -> Iterator[Path]:
    """A Celery worker that is ready, and its log; options go to ``celery worker``.

    ``supervised``: it is started again when it ends, as systemd does. Celery's worker may end
    with an "Unrecoverable error" of kombu's when its broker goes away.
    """
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    command = [sys.executable, "-m", "celery", "-A", "tests.liveapp.celery", "worker"]
    # Without the second that it waits for answers of other workers, of which there are none.
    quiet = ["--loglevel", "info", "--without-mingle", "--without-gossip"]
    command += [*quiet, "-Q", "broadcasts,celery", *options]
    if supervised:
        command = ["sh", "-c", 'while :; do "$@"; sleep 0.2; done', "supervisor", *command]
    process = spawn(command, env, log)
    try:
        wait_for_line(log, " ready.", process)
        yield log
    finally:
        # Its children are its own to end.
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            log.unlink(missing_ok=True)


def run(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the live site to its end; output is text."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PYTHONPATH": str(ROOT),
        **env,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=_folder(env),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def _folder(env: Mapping[str, str]) -> str:
    # Python looks for modules where it runs, before it looks anywhere else.
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    return paths[-1] if paths else os.fspath(ROOT)
