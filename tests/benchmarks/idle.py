"""Idle memory: what a connection that is subscribed and quiet keeps of the server's memory.

The growth of the resident memory of all the server's processes, from after some sockets came and
went (so that what is loaded once does not count) until ``seconds`` after the last of ``sockets``
was subscribed, divided by them. The kernel's own buffers are not part of it.
"""

from __future__ import annotations

import time

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, grown
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import DAPHNE, LIMIT, PLAIN_UVICORN, SOKETI, UVICORN
from tests.benchmarks.running import Server


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    with Load(server, 10, ["warm"]):
        pass
    server.cpu_when_quiet()
    before = server.memory()
    with Load(server, options.sockets, ["bench"], inflight=options.inflight):
        server.cpu_when_quiet()
        time.sleep(options.seconds)
        after = server.memory()
    return {
        "kb_per_socket": grown(before, after, options.sockets),
        "empty_mb": grown(0, before, 1024),
        "full_mb": grown(0, after, 1024),
    }


IDLE = Benchmark(
    name="idle",
    title="Idle memory of {sockets} connections",
    columns=(
        Column(key="kb_per_socket", title="KB / socket", compared=True),
        Column(key="empty_mb", title="MB without"),
        Column(key="full_mb", title="MB with all"),
    ),
    defaults={"sockets": 8000, "seconds": 3, "inflight": 64, "rounds": 3},
    contenders=(UVICORN, SOKETI, LIMIT, DAPHNE, PLAIN_UVICORN),
    measure=measure,
)
