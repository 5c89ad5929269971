"""Stalled readers: many sockets that never read, beside some that do, on one channel.

The same messages are published twice, to ``sockets`` alone and with ``stalled`` more that
subscribe and read nothing from then on; the kernel's buffers for them are small. Told are the
latency of those who read, the greatest resident memory of the server over what it was before the
messages, and how many of the stalled it still holds at the end: it may close them. What the kernel
holds for them is not in that memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, grown
from tests.benchmarks.client import Load, Report
from tests.benchmarks.contenders import DAPHNE, LIMIT, SOKETI, UVICORN
from tests.benchmarks.histogram import percentile_ms
from tests.benchmarks.publishing import publish
from tests.benchmarks.running import Server
from tests.benchmarks.steady import watch

CHANNEL = "bench"
PATIENCE = 60.0


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    server.cpu_when_quiet()
    empty = server.sockets()
    alone, _, _ = deliver(server, options, 0)
    beside, memory, left = deliver(server, options, options.stalled)
    known = [value for value in memory if value is not None]
    messages = round(options.rate * options.seconds)
    return {
        "alone_p99_ms": percentile_ms(alone.histogram, 0.99),
        "p50_ms": percentile_ms(beside.histogram, 0.5),
        "p99_ms": percentile_ms(beside.histogram, 0.99),
        "max_ms": beside.max_us / 1000,
        "lost": max(messages * options.sockets - beside.frames, messages - beside.least),
        "grown_mb": grown(known[0], max(known), 1024) if known else None,
        "kept": grown(empty, None if left is None else left - options.sockets),
        "memory_kb": memory,
    }


def deliver(
    server: Server, options: Options, stalled: int
) -> tuple[Report, list[float | None], float | None]:
    """Publish to readers and so many stalled; with memory over time and the sockets left."""
    messages = round(options.rate * options.seconds)
    with (
        Load(server, options.sockets, [CHANNEL], stalled=stalled) as load,
        ThreadPoolExecutor(1) as pool,
    ):
        server.cpu_when_quiet()
        publishing = pool.submit(
            publish, server, messages, options.rate, options.size, channel=CHANNEL
        )
        memory = watch(server, publishing)
        report = load.report(messages * options.sockets, PATIENCE)
        publishing.result()
        memory.append(server.memory())
        return report, memory, server.sockets()


STALLED = Benchmark(
    name="stalled",
    title="{stalled} sockets that never read beside {sockets} that do",
    columns=(
        Column(key="alone_p99_ms", title="p99 ms alone", digits=2),
        Column(key="p50_ms", title="p50 ms", digits=2),
        Column(key="p99_ms", title="p99 ms", digits=2, compared=True),
        Column(key="max_ms", title="max ms", digits=2),
        Column(key="lost", title="lost", digits=0),
        Column(key="grown_mb", title="MB grown"),
        Column(key="kept", title="still held", digits=0),
    ),
    defaults={
        "sockets": 100,
        "stalled": 1000,
        "rate": 20,
        "size": 8192,
        "seconds": 15,
        "rounds": 1,
    },
    contenders=(UVICORN, SOKETI, LIMIT, DAPHNE),
    measure=measure,
)
