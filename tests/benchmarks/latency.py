"""Latency: from before an event is signed until each socket has read its frame, under steady load.

The fan-out's load, for ``seconds``. Latencies are counted in buckets that are at most 1/64 of
their value wide; a percentile is told as the upper end of its bucket. Publisher and load share a
core, so that their own time is in all of them, and the same for every contender.
"""

from __future__ import annotations

import dataclasses

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import DAPHNE, LIMIT, SOKETI, UVICORN
from tests.benchmarks.fanout import CHANNEL, deliver
from tests.benchmarks.running import Server


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers, with the histogram."""
    messages = max(1, round(options.rate * options.seconds))
    with Load(server, options.sockets, [CHANNEL]) as load:
        return deliver(server, load, dataclasses.replace(options, messages=messages))


LATENCY = Benchmark(
    name="latency",
    title="Latency of {rate:g} messages a second to {sockets} sockets",
    columns=(
        Column(key="p50_ms", title="p50 ms", digits=2, compared=True),
        Column(key="p90_ms", title="p90 ms", digits=2),
        Column(key="p99_ms", title="p99 ms", digits=2, compared=True),
        Column(key="p99_9_ms", title="p99.9 ms", digits=2),
        Column(key="max_ms", title="max ms", digits=2),
        Column(key="publisher_late_ms", title="publisher late ms", digits=2),
        Column(key="lost", title="lost", digits=0),
    ),
    defaults={"sockets": 500, "rate": 40, "seconds": 20, "size": 240, "rounds": 3},
    contenders=(UVICORN, SOKETI, LIMIT, DAPHNE),
    measure=measure,
)
