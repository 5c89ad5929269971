"""Steady: many messages a second for a minute; nothing may be lost, nothing may pile up.

``rate`` messages of ``size`` bytes a second to ``sockets`` on one channel, published over four
connections; a server that cannot keep up is told by its rate. The server's resident memory is
read every second; its growth is from a tenth of the time on, when everything is warm, until the
end.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, grown, per
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import LIMIT, SOKETI, UVICORN
from tests.benchmarks.histogram import percentiles
from tests.benchmarks.publishing import Published, publish
from tests.benchmarks.running import Server

CHANNEL, CONNECTIONS = "bench", 4
PATIENCE = 30.0


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers, and the memory over time."""
    messages = round(options.rate * options.seconds)
    with (
        Load(server, options.sockets, [CHANNEL]) as load,
        ThreadPoolExecutor(1) as pool,
    ):
        before = server.cpu()
        publishing = pool.submit(
            publish,
            server,
            messages,
            options.rate,
            options.size,
            channel=CHANNEL,
            connections=CONNECTIONS,
        )
        memory = watch(server, publishing)
        report = load.report(messages * options.sockets, PATIENCE)
        spent = (before, server.cpu_when_quiet())
        memory.append(server.memory())
    return {
        "rate": publishing.result().rate,
        "lost": max(messages * options.sockets - report.frames, messages - report.least),
        "cpu_us": per(spent, report.frames),
        **percentiles(report.histogram),
        "max_ms": report.max_us / 1000,
        "begin_mb": grown(0, memory[len(memory) // 10], 1024),
        "growth_mb": grown(memory[len(memory) // 10], memory[-1], 1024),
        "memory_kb": memory,
        "histogram": report.histogram,
    }


def watch(server: Server, publishing: Future[Published]) -> list[float | None]:
    """Return the server's memory each second until all is published."""
    memory = [server.memory()]
    begin = time.monotonic()
    while not publishing.done():
        time.sleep(max(0.0, begin + len(memory) - time.monotonic()))
        memory.append(server.memory())
    return memory


STEADY = Benchmark(
    name="steady",
    title="{rate:g} messages a second for {seconds:g} seconds",
    columns=(
        Column(key="rate", title="messages / s", digits=0),
        Column(key="lost", title="lost", digits=0),
        Column(key="cpu_us", title="CPU µs / frame", digits=2, compared=True),
        Column(key="p50_ms", title="p50 ms", digits=2),
        Column(key="p99_ms", title="p99 ms", digits=2),
        Column(key="max_ms", title="max ms", digits=2),
        Column(key="begin_mb", title="MB"),
        Column(key="growth_mb", title="MB grown", digits=2),
    ),
    defaults={"sockets": 100, "rate": 1000, "size": 1024, "seconds": 60, "rounds": 1},
    contenders=(UVICORN, SOKETI, LIMIT),
    measure=measure,
)
