"""Percentiles of latencies that were counted in buckets, each at most 1/64 of its value wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

Histogram = Sequence[tuple[int, int]]
"""Pairs of microseconds and a count, ascending."""

SHARES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p99_9_ms": 0.999}


def percentile_ms(histogram: Histogram, share: float) -> float | None:
    """Return the latency that ``share`` of all does not exceed; nothing if there is none."""
    total = sum(count for _, count in histogram)
    seen = 0
    for microseconds, count in histogram:
        seen += count
        if seen >= share * total:
            return microseconds / 1000
    return None


def percentiles(histogram: Histogram) -> dict[str, float | None]:
    """Return those that people ask for, in ms."""
    return {name: percentile_ms(histogram, share) for name, share in SHARES.items()}


def merged(histograms: Iterable[Histogram]) -> list[tuple[int, int]]:
    """Return one that holds what all of them hold."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        for microseconds, count in histogram:
            total[microseconds] += count
    return sorted(total.items())
