"""Fan-out side by side: one publish, many sockets, CPU of the server per delivered frame.

    ./dev bench [--sockets 500] [--messages 40] [--rate 5] [--rounds 3] [--only NAME ...]

``./dev bench http`` measures the HTTP API instead, see http_events.py; ``./dev bench dispatch``
what dispatching an event costs, see dispatch.py.

Compares this package with plain Channels on the same two servers. Judge by the ratios of
one run: a shared machine's absolute numbers wander. Linux only (it reads /proc).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOAD = str(Path(__file__).with_name("load.py"))
TICKS = os.sysconf("SC_CLK_TCK")
OURS = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.ours"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server to measure."""

    command: tuple[str, ...]
    env: dict[str, str]
    arguments: tuple[str, ...] = ()
    """Behind the port."""


PYTHON = (sys.executable, "-m")
CONTENDERS = {
    "broadcasting on uvicorn": Contender(
        command=(*PYTHON, "django", "websockets_serve", "--log-level", "warning", "--port"),
        env=OURS,
    ),
    "plain Channels on uvicorn": Contender(
        command=(
            *PYTHON,
            "uvicorn",
            "tests.benchmarks.plain_channels:application",
            "--log-level=warning",
            "--no-access-log",
            "--port",
        ),
        env={},
    ),
    "broadcasting on Daphne": Contender(
        command=(*PYTHON, "daphne", "broadcasting.asgi:application", "-v", "0", "-p"), env=OURS
    ),
    "plain Channels on Daphne": Contender(
        command=(
            *PYTHON,
            "daphne",
            "tests.benchmarks.plain_channels:application",
            "-v",
            "0",
            "-p",
        ),
        env={},
    ),
}


def pinned(core: int, command: tuple[str, ...]) -> list[str]:
    """Keep server and load on cores of their own, where there are two."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > 1:
        return ["taskset", "-c", str(core), *command]
    return list(command)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kb(pid: int) -> int:
    """Return the resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(contender: Contender, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server on ``port``, ended afterwards."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **contender.env}
    server = subprocess.Popen(
        pinned(0, (*contender.command, str(port), *contender.arguments)),
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def publish(port: int, messages: int, rate: float, size: int) -> None:
    """POST signed events at a steady rate over one connection."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    begin = time.time()
    for number in range(messages):
        time.sleep(max(0.0, begin + number / rate - time.time()))
        data = json.dumps({"pad": "x" * size, "ts": time.time()})
        body = json.dumps({"name": "bench-event", "channels": ["bench"], "data": data}).encode()
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        query = (
            f"auth_key=app-key&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={md5}"
        )
        text = f"POST\n/apps/app/events\n{query}"
        signature = hmac.new(b"app-secret", text.encode(), "sha256").hexdigest()
        client.request("POST", f"/apps/app/events?{query}&auth_signature={signature}", body)
        response = client.getresponse()
        if response.status != 200:
            raise SystemExit(f"publish refused: {response.status} {response.read()!r}")
        response.read()


def measure(contender: Contender, options: argparse.Namespace) -> dict[str, float]:
    """Return one round's numbers."""
    port = free_port()
    with running(contender, port) as server:
        time.sleep(0.5)
        idle = memory_kb(server.pid)
        load = subprocess.Popen(
            pinned(
                1,
                (sys.executable, LOAD, str(port), str(options.sockets)),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = _line(load)
        memory, before = memory_kb(server.pid), cpu_seconds(server.pid)
        publish(port, options.messages, options.rate, options.size)
        quiet = cpu_seconds(server.pid)
        while True:  # until the server has nothing left to deliver
            time.sleep(0.5)
            now = cpu_seconds(server.pid)
            if now - quiet < 0.03:
                break
            quiet = now
        spent = cpu_seconds(server.pid) - before
        result = _line(load, "stop\n")
        load.wait()
    wanted = options.sockets * options.messages
    return {
        "us_per_frame": spent * 1e6 / max(1, result["frames"]),
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "connect_s": ready["ready"],
        "kb_per_socket": (memory - idle) / options.sockets,
        "lost": wanted - result["frames"],
    }


def _line(load: subprocess.Popen[str], say: str = "") -> Any:
    if load.stdin is None or load.stdout is None:
        raise SystemExit("the load has no pipes")
    if say:
        load.stdin.write(say)
        load.stdin.flush()
    return json.loads(load.stdout.readline() or sys.exit("the load ended early"))


def main() -> None:
    """Run the rounds A B A B ..., so that ratios hold while the machine's speed drifts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    names = [n for n in CONTENDERS if not options.only or any(o in n for o in options.only)]
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            rounds[name].append(measure(CONTENDERS[name], options))
    heads = list(rounds[names[0]][0])
    print(f"{'server':28}" + "".join(f"{head:>15}" for head in heads))
    for name in names:
        row = [statistics.median(each[head] for each in rounds[name]) for head in heads]
        print(f"{name:28}" + "".join(f"{value:15.1f}" for value in row))
    for server in ("uvicorn", "Daphne"):
        ours, plain = f"broadcasting on {server}", f"plain Channels on {server}"
        if ours in rounds and plain in rounds:
            pairs = zip(rounds[plain], rounds[ours], strict=True)
            ratio = statistics.median(p["us_per_frame"] / o["us_per_frame"] for p, o in pairs)
            print(f"{server}: {ratio:.1f} times less CPU per frame than plain Channels")


if __name__ == "__main__":
    # Run as a file, this one is __main__ and its folder's parent is not on the path.
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["http"]:
        from tests.benchmarks import http_events

        http_events.main(sys.argv[2:])
    elif sys.argv[1:2] == ["dispatch"]:
        from tests.benchmarks import dispatch

        dispatch.main(sys.argv[2:])
    else:
        main()
