"""Fan-out: one publish, many sockets on one channel.

After a few messages that warm the server up, ``messages`` are published at ``rate``. The processor
time is the server's from the first of them until the last frame is read and the server is quiet,
divided by the frames; publishing is part of it, and is a small one. Latency is from before a
message is signed until its frame is read. Lost is what should have come and did not.
"""

from __future__ import annotations

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, grown, per
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import DAPHNE, LIMIT, PLAIN_DAPHNE, PLAIN_UVICORN, SOKETI, UVICORN
from tests.benchmarks.histogram import percentiles
from tests.benchmarks.publishing import publish
from tests.benchmarks.running import Server

CHANNEL = "bench"
PATIENCE = 30.0


def deliver(server: Server, load: Load, options: Options) -> Row:
    """Publish to a load that is connected; return what the delivery took."""
    warm = max(1, options.messages // 10)
    publish(server, warm, options.rate, options.size, channel=CHANNEL)
    load.report(warm * load.sockets, PATIENCE)
    server.cpu_when_quiet()
    before, wanted = server.cpu(), options.messages * load.sockets
    published = publish(server, options.messages, options.rate, options.size, channel=CHANNEL)
    report = load.report(wanted, PATIENCE)
    spent = (before, server.cpu_when_quiet())
    return {
        "cpu_us": per(spent, report.frames),
        **percentiles(report.histogram),
        "max_ms": report.max_us / 1000,
        # One that got a frame twice must not make up for one that got none.
        "lost": max(wanted - report.frames, options.messages - report.least),
        "publisher_late_ms": published.late_ms,
        "histogram": report.histogram,
    }


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    idle = server.memory()
    with Load(server, options.sockets, [CHANNEL], inflight=options.inflight) as load:
        memory = server.memory()
        row = deliver(server, load, options)
        row["connect_s"] = load.ready_seconds
        row["kb_per_socket"] = grown(idle, memory, options.sockets)
    del row["histogram"]
    return row


FANOUT = Benchmark(
    name="fanout",
    title="Fan-out to {sockets} sockets, {rate:g} messages a second",
    columns=(
        Column(key="cpu_us", title="CPU µs / frame", digits=2, compared=True),
        Column(key="p50_ms", title="p50 ms", digits=2),
        Column(key="p99_ms", title="p99 ms", digits=2, compared=True),
        Column(key="max_ms", title="max ms", digits=2),
        Column(key="connect_s", title="connect s", digits=2, compared=True),
        Column(key="kb_per_socket", title="KB / socket"),
        Column(key="lost", title="lost", digits=0),
    ),
    defaults={
        "sockets": 500,
        "messages": 400,
        "rate": 80,
        "size": 240,
        "rounds": 3,
        "inflight": 64,
    },
    contenders=(UVICORN, SOKETI, LIMIT, DAPHNE, PLAIN_UVICORN, PLAIN_DAPHNE),
    measure=measure,
)
