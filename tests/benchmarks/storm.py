"""Connect storm: how fast sockets that come all at once are connected and subscribed.

``sockets`` connect, ``inflight`` of them at a time, and each subscribes to one public channel.
The time is from the first connect until the last confirmation is read; the processor time is the
server's in between, divided by the sockets.
"""

from __future__ import annotations

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, per
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import DAPHNE, LIMIT, SOKETI, UVICORN
from tests.benchmarks.running import Server


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    with Load(server, options.sockets // 20 or 1, ["warm"]):
        pass
    server.cpu_when_quiet()
    before = server.cpu()
    with Load(server, options.sockets, ["bench"], inflight=options.inflight) as load:
        spent = (before, server.cpu_when_quiet())
    return {
        "seconds": load.ready_seconds,
        "sockets_s": options.sockets / load.ready_seconds,
        "cpu_us": per(spent, options.sockets),
    }


STORM = Benchmark(
    name="storm",
    title="Connect storm of {sockets} sockets",
    columns=(
        Column(key="seconds", title="seconds", digits=2, compared=True),
        Column(key="sockets_s", title="sockets / s", digits=0),
        Column(key="cpu_us", title="CPU µs / socket", digits=0, compared=True),
    ),
    defaults={"sockets": 8000, "inflight": 64, "rounds": 3},
    contenders=(UVICORN, SOKETI, LIMIT, DAPHNE),
    measure=measure,
)
