"""The documentation's page of results: ``./dev bench page [FILE ...]``.

Made from what ``--json`` wrote and from nothing else, so that it can be made anywhere. Files that
are named are taken in beside those that are there; without any, the page is written anew.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import plots
from tests.benchmarks.histogram import merged, percentile_ms
from tests.benchmarks.report import cell

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = Path("_static", "benchmarks")
PAGE = Path("reference", "benchmarks.md")
Json = Mapping[str, Any]
MEDIAN = math.log10(2)
"""Where half of all stand on an axis of nines: 1 is 90 %, 2 is 99 %."""

INTRODUCTION = Path(__file__).with_name("introduction.md")


def main(arguments: Sequence[str], docs: Path = DOCS) -> int:
    """Take in the files that are named and write the page; return the exit status."""
    folder = docs / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments:
        if Path(name).resolve().parent != folder.resolve():
            shutil.copy(name, folder)
    runs = {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }
    for path in folder.glob("*.svg"):
        path.unlink()
    for name, svg in pictures(runs).items():
        (folder / name).write_text(svg, "utf-8")
    (docs / PAGE).write_text(page(runs), "utf-8")
    print(docs / PAGE)
    return 0


def page(runs: Mapping[str, Json]) -> str:
    """Return the page for runs by the name of their file."""
    told: set[str] = set()
    sections = [section(stem, run, told) for stem, run in runs.items()]
    return "\n".join([INTRODUCTION.read_text("utf-8"), *sections])


def section(stem: str, run: Json, told: set[str]) -> str:
    """Return one run: the machine, the versions, the command and all its results.

    ``told``: what is on the page already and need not be told again, such as the machine, and how
    the numbers of a benchmark are made.
    """
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    where = (
        f"## Measured on {run['date'][:10]}\n\n"
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}; "
        f"{versions}.\n"
    )
    parts = [
        *([] if where in told else [where]),
        f"```console\n{run['command']}\n```\n",
        f"Every round of it: {{download}}`{stem}.json <../{RESULTS.as_posix()}/{stem}.json>`.\n",
    ]
    told.add(where)
    for number, result in enumerate(run["results"]):
        about = "" if result["benchmark"] in told else result["about"].partition("\n\n")[2]
        told.add(result["benchmark"])
        parts.append(result_part(f"{stem}-{number}", result, about))
    return "\n".join(parts)


def result_part(name: str, result: Json, about: str) -> str:
    """Return one benchmark: how it is made, the table, the plots."""
    options = ", ".join(f"{key} {value:g}" for key, value in result["options"].items())
    heading = [f"### {result['title']}\n", *([f"{about}\n"] if about else [])]
    parts = [*heading, f"With {options}.\n", *table(result), ""]
    parts += [f"No {who}: {reason}.\n" for who, reason in result["skipped"].items()]
    for plot in drawn(result):
        file = f"../{RESULTS.as_posix()}/{name}-{plot}.svg"
        parts.append(f"```{{raw}} html\n:file: {file}\n```\n")
    return "\n".join(parts)


def table(result: Json) -> Iterable[str]:
    """Yield the lines of the table of medians."""
    columns = result["columns"]
    yield "| | " + " | ".join(column["title"] for column in columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for name, contender in result["contenders"].items():
        yield f"| {name} | " + " | ".join(cell(contender, column) for column in columns) + " |"


def pictures(runs: Mapping[str, Json]) -> dict[str, str]:
    """Return all plots by the name of their file."""
    return {
        f"{stem}-{number}-{plot}.svg": svg
        for stem, run in runs.items()
        for number, result in enumerate(run["results"])
        for plot, svg in drawn(result).items()
    }


def drawn(result: Json) -> dict[str, str]:
    """Return the plots of one benchmark by what they show."""
    found = {}
    contenders = result["contenders"]
    column = next((each for each in result["columns"] if each["compared"]), result["columns"][0])
    values = {
        name: contender["medians"][column["key"]]
        for name, contender in contenders.items()
        if contender["medians"][column["key"]] is not None
    }
    if len(values) > 1:
        found[column["key"]] = plots.bars(column["title"], values, column["digits"])
    if late := series(result, "histogram", latencies):
        ticks = {MEDIAN: "50 %", 1.0: "90 %", 2.0: "99 %", 3.0: "99.9 %"}
        found["latency"] = plots.lines(
            "Latency in ms that a share of all frames kept to", late, ticks, logarithmic=True
        )
    if memory := series(result, "memory_kb", megabytes):
        last = max(x for points in memory.values() for x, _ in points)
        times = {last * part / 4: f"{last * part / 4:.0f} s" for part in range(5)}
        found["memory"] = plots.lines("Resident memory in MB over time", memory, times)
    return found


def series(result: Json, key: str, points: Any) -> dict[str, list[tuple[float, float]]]:
    """Return what the rounds of each contender hold under ``key``, as points."""
    found = {}
    for name, contender in result["contenders"].items():
        rounds = [each[key] for each in contender["rounds"] if each.get(key)]
        if rounds and (made := points(rounds)):
            found[name] = made
    return found


def latencies(rounds: Sequence[Any]) -> list[tuple[float, float]]:
    """Return percentiles of all rounds together, from the median to one in a thousand."""
    whole = merged(rounds)
    nines = [MEDIAN + step * (3 - MEDIAN) / 50 for step in range(51)]
    told = ((x, percentile_ms(whole, 1 - 10**-x)) for x in nines)
    return [(x, value) for x, value in told if value is not None]


def megabytes(rounds: Sequence[Any]) -> list[tuple[float, float]]:
    """Return the last round's memory, second by second."""
    return [(float(at), kb / 1024) for at, kb in enumerate(rounds[-1]) if kb is not None]
