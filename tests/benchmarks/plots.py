"""Plots as SVG, to stand within a page: their text has the page's colour, in light and in dark.

Knows bars and lines, and nothing of benchmarks. No library: what is needed is a page of code, and
a picture that is text shows in a diff what changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, LABELS, ROW = 720, 210, 26
# Readable on white and on black, and not only by their hue.
COLOURS = ("#3b82f6", "#e8730c", "#15a34a", "#d6409f", "#8b5cf6", "#8a8f98", "#0ea5a5")


def bars(title: str, values: Mapping[str, float], digits: int) -> str:
    """Return horizontal bars, the first one in a colour of its own."""
    room, most = WIDTH - LABELS - 80, max(values.values(), default=1.0) or 1.0
    parts = []
    for number, (name, value) in enumerate(values.items()):
        top, length = number * ROW + 34, max(1.0, value / most * room)
        colour = COLOURS[0] if number == 0 else COLOURS[5]
        parts += [
            text(LABELS - 8, top + 14, name, "end"),
            f'<rect x="{LABELS}" y="{top}" width="{length:.1f}" height="18" fill="{colour}"/>',
            text(LABELS + length + 6, top + 14, f"{value:,.{digits}f}"),
        ]
    return picture(title, len(values) * ROW + 40, parts)


def lines(
    title: str,
    series: Mapping[str, Points],
    x_ticks: Mapping[float, str],
    *,
    logarithmic: bool = False,
) -> str:
    """Return a line for each of ``series`` over one axis, with the names below."""
    left, right, top, bottom = 60, WIDTH - 32, 34, 264
    everything = [point for points in series.values() for point in points]
    y_ticks = decades(everything) if logarithmic else steps(everything)
    x_low, x_high = min(x_ticks), max(x_ticks)

    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / ((x_high - x_low) or 1)
        low, high = scaled(y_ticks[0]), scaled(y_ticks[-1])
        up = (scaled(max(y, y_ticks[0])) - low) / ((high - low) or 1)
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = []
    for tick in y_ticks:
        _, y = at(x_low, tick)
        parts.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="currentColor" stroke-opacity="0.2"/>'
        )
        parts.append(text(left - 8, y + 4, f"{tick:g}", "end"))
    for tick, label in x_ticks.items():
        parts.append(text(at(tick, y_ticks[0])[0], bottom + 20, label, "middle"))
    for number, (name, points) in enumerate(series.items()):
        colour, row = COLOURS[number % len(COLOURS)], bottom + 44 + number * 20
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in points))
        # With dashes the lines are told apart without their colours.
        dashes = f' stroke-dasharray="{2 + 3 * number} 3"' if number else ""
        style = f'fill="none" stroke="{colour}" stroke-width="2"{dashes}'
        parts += [
            f'<path d="M{path}" {style}/>',
            f'<path d="M{left} {row - 4}h40" {style}/>',
            text(left + 48, row, name),
        ]
    return picture(title, bottom + 50 + len(series) * 20, parts)


def decades(points: Points) -> list[float]:
    """Return powers of ten around the values, which are above zero."""
    values = [y for _, y in points if y > 0] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def steps(points: Points) -> list[float]:
    """Return round numbers from zero to the greatest value."""
    most = max((y for _, y in points), default=1.0) or 1.0
    size = 10.0 ** math.floor(math.log10(most))
    step = next(size * part for part in (0.2, 0.5, 1, 2) if most / (size * part) <= 6)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def picture(title: str, height: float, parts: Sequence[str]) -> str:
    """Return the whole, with a title that is read aloud too."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
        f' width="100%" font-family="sans-serif" font-size="13" fill="currentColor">'
    )
    body = [f"<title>{escape(title)}</title>", text(0, 16, title), *parts]
    return "\n".join([head, *body, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Return a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
