"""The load: the C client in ``load/``, built on first use, and a way to talk to it.

There is no second client in Python for machines without a compiler: it would be what is measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.running import LOAD_CORE, Server, on_core

SOURCES = Path(__file__).with_name("load")
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic")


class LoadFailed(Exception):
    """The load could not be built, connected or kept up; the text says why."""


def find_compiler() -> str | None:
    """Return the path of a C compiler."""
    found = (shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang"))
    return next((path for path in found if path), None)


def build() -> Path:
    """Return the client's path, compiled if its sources are new here. Raises LoadFailed."""
    files = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = cache / "django-broadcasting" / f"load-{digest}"
    if binary.exists():
        return binary
    compiler = find_compiler()
    if compiler is None:
        raise LoadFailed("The load is written in C, and there is no compiler; on Debian: gcc")
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        made = Path(folder) / "load"
        units = [str(file) for file in files if file.suffix == ".c"]
        command = [compiler, *FLAGS, "-o", str(made), *units]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadFailed(f"The load does not compile: {done.stderr}")
        made.rename(binary)
    return binary


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the sockets got since the last report."""

    frames: int
    """Of the event that is counted, on all sockets."""

    least: int
    """On the socket that got the fewest."""

    most: int
    others: int
    """Frames of other events, such as those of presence."""

    closed: int
    """Sockets that the server has closed, since the beginning."""

    max_us: int
    histogram: list[tuple[int, int]]
    """Pairs of microseconds and how many frames were that late, ascending."""


class Load:
    """Sockets that are connected and subscribed; use it in ``with``."""

    def __init__(
        self,
        server: Server,
        sockets: int,
        channels: Sequence[str],
        *,
        stalled: int = 0,
        inflight: int = 64,
    ) -> None:
        """Connect and subscribe; "name/100" means one channel for 100 sockets each."""
        command = [
            str(build()),
            *(server.host, str(server.port), path(server), str(sockets)),
            *("--key", server.application.key, "--secret", server.application.secret),
            *("--stalled", str(stalled), "--inflight", str(inflight)),
            *channels,
        ]
        self.sockets = sockets
        with on_core(LOAD_CORE):
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        try:
            ready = self._answer()
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise
        self.ready_seconds = float(ready["seconds"])
        """From the first connect to the last confirmed subscription."""
        self.others = int(ready["others"])
        """Frames meanwhile that neither greet nor confirm, such as those of presence."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def report(self, frames: int, seconds: float) -> Report:
        """Wait until ``frames`` have come, at most ``seconds``, and start to count anew."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"report {frames} {seconds}\n".encode())
        self._process.stdin.flush()
        answer = self._answer()
        return Report(**{name: answer[name] for name in Report.__dataclass_fields__})

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            raise LoadFailed(said.decode(errors="replace").strip() or "The load ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer


def path(server: Server) -> str:
    """Return where clients of Pusher's protocol connect."""
    return f"/app/{server.application.key}?protocol=7&client=benchmark&version=1.0&flash=false"
