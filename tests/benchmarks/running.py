"""A contender that runs: started on a core of its own, watched from outside, ended afterwards."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.benchmarks import measure
from tests.benchmarks.contenders import Application, Contender

ROOT = Path(__file__).parents[2]
SERVER_CORE, LOAD_CORE = 0, 1
STARTING, ENDING, QUIET = 60.0, 10.0, 0.1


class DidNotStart(Exception):
    """The server ended or did not listen in time; the text holds its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that listens."""

    host: str
    port: int
    pid: int | None
    application: Application

    def cpu(self) -> float | None:
        """Return the processor time of its processes so far, in seconds, where it is known."""
        return None if self.pid is None else measure.cpu_seconds(self.pid)

    def memory(self) -> float | None:
        """Return the resident memory of its processes in KiB, where it is known."""
        return None if self.pid is None else measure.memory_kb(self.pid)

    def sockets(self) -> float | None:
        """Return how many sockets its processes have open, where it is known."""
        return None if self.pid is None else measure.socket_count(self.pid)

    def cpu_when_quiet(self, patience: float = 5.0) -> float | None:
        """Return ``cpu()`` as soon as a tenth of a second has cost less than 2 ms."""
        before = self.cpu()
        if before is None:
            return None
        ends = time.monotonic() + patience
        while True:
            time.sleep(QUIET)
            now = self.cpu() or 0.0
            if now - before < 0.002 or time.monotonic() > ends:
                return now
            before = now


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Let what is started inside run on one core, where there are two."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):  # the core may be forbidden to us
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(contender: Contender) -> Iterator[Server]:
    """Yield the contender as a server that listens. Raises DidNotStart."""
    if contender.address is not None:
        host, port = contender.address
        yield Server(host=host, port=port, pid=contender.pid, application=contender.application)
        return
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = start(contender, port, log)
        try:
            wait_for(process, port, log)
            yield Server(
                host="127.0.0.1", port=port, pid=process.pid, application=contender.application
            )
        finally:
            stop(process)


def start(contender: Contender, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the contender's command on its core. Raises DidNotStart."""

    def filled(text: str) -> str:
        # A free port for each mention; replace() would ask for one where there is none.
        while "{spare}" in text:
            text = text.replace("{spare}", str(free_port()), 1)
        return text.replace("{port}", str(port))

    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env |= {name: filled(value) for name, value in contender.env.items()}
    try:
        with on_core(SERVER_CORE):
            process = subprocess.Popen(
                [filled(word) for word in contender.command],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise DidNotStart(str(error)) from error
    # A shell mostly allows 1,024 files, which servers that do not ask for more would run out of.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
    return process


def wait_for(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Return once somebody listens. Raises DidNotStart."""
    ends = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.5)  # what it does once it listens
                return
        time.sleep(0.05)
    log.seek(0)
    raise DidNotStart(log.read()[-2000:].decode(errors="replace") or "it said nothing")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server with all its processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(ENDING)
        except subprocess.TimeoutExpired:
            continue
        return


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
