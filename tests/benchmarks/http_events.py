"""Trigger rate: signed events over HTTP, one after the other on each connection, nobody listens.

``clients`` connections each wait for an answer and ask again, for ``seconds``, after as long a
time that warms the server up. Requests a second are those that were answered; the processor time
is the server's, divided by them. soketi closes each connection after its answer, and the load
connects again, as any client would; a second soketi is kept from doing so.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, per
from tests.benchmarks.contenders import SOKETI, SOKETI_ALIVE, UVICORN
from tests.benchmarks.running import LOAD_CORE, ROOT, Server, on_core


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    load(server, options)
    before = server.cpu()
    row = load(server, options)
    return row | {"cpu_us": per((before, server.cpu()), int(row["requests"]))}


def load(server: Server, options: Options) -> Row:
    """Run the load in a process of its own, see http_load.py."""
    application = server.application
    words = (server.host, server.port, application.id, application.key, application.secret)
    command = [sys.executable, "-m", "tests.benchmarks.http_load", *map(str, words)]
    command += [str(value) for value in (options.size, options.clients, options.seconds)]
    with on_core(LOAD_CORE):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    row: Row = json.loads(done.stdout)
    return row


TRIGGER = Benchmark(
    name="trigger",
    title="Events over HTTP, {clients} at a time",
    columns=(
        Column(key="requests_s", title="requests / s", digits=0, compared=True),
        Column(key="cpu_us", title="CPU µs / request", compared=True),
        Column(key="p50_ms", title="p50 ms", digits=2),
        Column(key="p99_ms", title="p99 ms", digits=2, compared=True),
    ),
    defaults={"clients": 16, "seconds": 3, "size": 240, "rounds": 5},
    contenders=(UVICORN, SOKETI, SOKETI_ALIVE),
    measure=measure,
)
