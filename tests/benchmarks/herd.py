"""A crash: one of two nodes is killed, and all of its sockets come to the other one at once.

``sockets`` are on the node that dies, each in a private channel of its own and in a presence
channel that ``members`` of them share. They connect to the survivor as fast as it takes them,
``inflight`` at a time, while it sweeps what the dead node left. ``lag`` is the worst lateness of
the survivor's event loop, as its probe tells it, and ``gone`` the seconds from the kill until
its HTTP API counts nobody twice any more.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.benchmark import Benchmark, Column, Options, Rounds, note
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import UVICORN, Application
from tests.benchmarks.dispatch import valkey
from tests.benchmarks.publishing import signed
from tests.benchmarks.running import ROOT, SERVER_CORE, Server, free_port, on_core, stop, wait_for

LOOK = 0.1
"""Seconds between two questions to the survivor."""


def run(options: Options) -> Rounds:
    """Return what each crash cost."""
    rows = []
    for number in range(1, options.rounds + 1):
        note(f"herd: round {number} of {options.rounds}")
        with valkey() as (url, _), node(url) as survivor, node(url) as doomed:
            channels = ["private-own/1", f"presence-room/{options.members}"]
            with Load(doomed, options.sockets, channels):
                assert doomed.pid is not None
                os.kill(doomed.pid, signal.SIGKILL)
                began = time.monotonic()
                with Load(survivor, options.sockets, channels, inflight=options.inflight) as load:
                    lag = worst_lag(survivor)
                    while connections(survivor) > options.sockets:
                        time.sleep(LOOK)
                        lag = max(lag, worst_lag(survivor))
                    gone = time.monotonic() - began
                    rows.append(
                        {"seconds": load.ready_seconds, "lag_ms": lag * 1e3, "gone_s": gone}
                    )
    note("")
    return {UVICORN: rows}


@contextlib.contextmanager
def node(url: str) -> Iterator[Server]:
    """One of several, on the core of the servers."""
    port = free_port()
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.ours",
        "PYTHONPATH": str(ROOT),
        "BENCH_REDIS_URL": url,
    }
    command = [sys.executable, "-m", "django", "websockets_serve", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        with on_core(SERVER_CORE):
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(process, port, log)
            yield Server(host="127.0.0.1", port=port, pid=process.pid, application=Application())
        finally:
            stop(process)


def worst_lag(server: Server) -> float:
    """Return the worst lateness of the last seconds, in seconds."""
    lag: float = ask(server, "/ready")["loop_lag"]
    return lag


def connections(server: Server) -> int:
    """Return how many sockets all nodes have, by the word of one of them."""
    count: int = ask(server, signed(server, "/apps/app/connections", b"", "GET"))["connections"]
    return count


def ask(server: Server, target: str) -> dict[str, Any]:
    """Return what a resource says."""
    client = http.client.HTTPConnection(server.host, server.port, timeout=60)
    with contextlib.closing(client):
        client.request("GET", target)
        answer: dict[str, Any] = json.loads(client.getresponse().read())
        return answer


HERD = Benchmark(
    name="herd",
    title="A crash of one of two nodes with {sockets} sockets",
    columns=(
        Column(key="seconds", title="seconds until all are subscribed", digits=2),
        Column(key="lag_ms", title="worst loop lag, ms", digits=0),
        Column(key="gone_s", title="seconds until the dead are gone", digits=1),
    ),
    defaults={"sockets": 5000, "members": 50, "inflight": 1000, "rounds": 3},
    run=run,
)
