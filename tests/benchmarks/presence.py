"""Presence storm: a herd that comes back, each with one private and one presence channel.

``sockets`` connect, ``inflight`` of them at a time, and join a private channel of their own and a
presence channel that ``members`` of them share; both are signed. Each who joins is told to those
who are there already, which with all in one channel is half the square of their number. The time
is until the last confirmation is read, the processor time until the server is quiet, divided by
the sockets.
"""

from __future__ import annotations

from tests.benchmarks.benchmark import Benchmark, Column, Options, Row, per
from tests.benchmarks.client import Load
from tests.benchmarks.contenders import DAPHNE, SOKETI, UVICORN
from tests.benchmarks.running import Server


def measure(server: Server, options: Options) -> Row:
    """Return one round's numbers."""
    with Load(server, 20, ["private-warm/1", "presence-warm/10"]):
        pass
    server.cpu_when_quiet()
    before = server.cpu()
    channels = ["private-own/1", f"presence-room/{options.members}"]
    with Load(server, options.sockets, channels, inflight=options.inflight) as load:
        spent = (before, server.cpu_when_quiet(30))
        told = load.others + load.report(0, 0).others
    return {
        "seconds": load.ready_seconds,
        "cpu_us": per(spent, options.sockets),
        "told": told,
    }


PRESENCE = Benchmark(
    name="presence",
    title="Presence storm of {sockets} sockets, {members} in a channel",
    columns=(
        Column(key="seconds", title="seconds", digits=2, compared=True),
        Column(key="cpu_us", title="CPU µs / socket", digits=0, compared=True),
        Column(key="told", title="joins told", digits=0),
    ),
    defaults={"sockets": 8000, "members": 100, "inflight": 64, "rounds": 3},
    contenders=(UVICORN, SOKETI, DAPHNE),
    measure=measure,
)
