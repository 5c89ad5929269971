"""What all benchmarks have in common: options, rounds taken in turns, medians and ratios.

The contenders take turns, A B A B, because a shared machine's speed drifts: what one run says
about their ratio holds, absolute numbers wander.
"""

from __future__ import annotations

import inspect
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.client import LoadFailed
from tests.benchmarks.contenders import Contender, find
from tests.benchmarks.publishing import Refused
from tests.benchmarks.running import DidNotStart, Server, running

Row = dict[str, Any]
"""What one round of one contender gave: a number for each column, and series for plots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much of everything; each benchmark has its own defaults and says which it takes."""

    sockets: int = 500
    messages: int = 400
    rate: float = 80
    """Messages a second."""

    size: int = 240
    """Bytes of a frame."""

    rounds: int = 3
    seconds: float = 10
    inflight: int = 64
    """Sockets that connect at a time."""

    members: int = 100
    """Sockets in one presence channel."""

    stalled: int = 1000
    """Sockets that never read."""

    clients: int = 16
    """Connections that publish."""

    events: int = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A number of the table."""

    key: str
    title: str
    digits: int = 1
    compared: bool = False
    """Whether its ratios are told."""


Rounds = dict[str, list[Row]]
Measure = Callable[[Server, Options], Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One that can be asked for by name."""

    name: str
    title: str
    """With options in braces."""

    columns: tuple[Column, ...]
    defaults: Mapping[str, float]
    """The options that it takes."""

    contenders: tuple[str, ...] = ()
    """In the order of the table; ratios are to the first."""

    measure: Measure | None = None
    run: Callable[[Options], Rounds] | None = None
    """In place of ``measure``, for what has no server."""

    @property
    def about(self) -> str:
        """Return how the numbers are made, as the module says that makes them."""
        function = self.measure or self.run
        assert function is not None
        return inspect.cleandoc(sys.modules[function.__module__].__doc__ or "")


@dataclass(slots=True, kw_only=True)
class Result:
    """One benchmark as it was run."""

    benchmark: Benchmark
    options: Mapping[str, float]
    rounds: Rounds
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Who is missing, and why."""

    failed: bool = False
    """Whether somebody is missing who should have run here."""

    @property
    def base(self) -> str:
        """Return the contender that the others are compared with."""
        return next(iter(self.rounds))

    def median(self, name: str, key: str) -> float | None:
        """Return a contender's median of one column, if that is known."""
        return median(row.get(key) for row in self.rounds[name])

    def ratios(self, name: str, key: str) -> dict[str, float | None]:
        """Return how many times the base's number a contender's is, in two ways.

        ``of_medians`` divides the medians; ``median`` is that of the ratios of each turn.
        """
        pairs = zip(self.rounds[self.base], self.rounds[name], strict=True)
        turns = (ratio(theirs.get(key), ours.get(key)) for ours, theirs in pairs)
        whole = ratio(self.median(name, key), self.median(self.base, key))
        return {"of_medians": whole, "median": median(turns)}


def ratio(one: float | None, other: float | None) -> float | None:
    """Return one number in terms of the other, where both are known."""
    return one / other if one is not None and other else None


def median(values: Any) -> float | None:
    """Return the median of what is known among ``values``."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def per(spent: tuple[float | None, float | None], count: int) -> float | None:
    """Return the microseconds between two readings of processor time for each of ``count``."""
    before, after = spent
    return None if before is None or after is None else (after - before) * 1e6 / max(1, count)


def grown(before: float | None, after: float | None, count: int = 1) -> float | None:
    """Return the growth of a number for each of ``count``, if it is known."""
    return None if before is None or after is None else (after - before) / count


def take_turns(
    benchmark: Benchmark, options: Options, names: Sequence[str], more: Mapping[str, Contender]
) -> Result:
    """Run a benchmark of servers with the named contenders and those of one's own."""
    taken = {name: getattr(options, name) for name in benchmark.defaults}
    if benchmark.run is not None:
        return Result(benchmark=benchmark, options=taken, rounds=benchmark.run(options))
    assert benchmark.measure is not None
    contenders, skipped = find(names, more)
    rounds: Rounds = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    for number in range(options.rounds):
        for name in list(rounds):
            note(f"{benchmark.name}: round {number + 1} of {options.rounds}, {name}")
            try:
                with running(contenders[name]) as server:
                    rounds[name].append(benchmark.measure(server, options))
            except (DidNotStart, LoadFailed, Refused) as error:
                # The others go on: what takes long must not be lost to one of them.
                failed[name] = str(error)
                del rounds[name]
    note("")
    return Result(
        benchmark=benchmark,
        options=taken,
        rounds=rounds,
        skipped=skipped | failed,
        failed=bool(failed),
    )


def note(text: str) -> None:
    """Say on a terminal what goes on, in one line that is written over."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
