"""What a run gave: a table for people, JSON for plots and for later.

The JSON holds the machine, the versions, the command and every round's numbers, so that a page
can be made from it anywhere (see page.py) and nobody has to believe a median.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.benchmark import Result
from tests.benchmarks.contenders import peer_versions

Json = Mapping[str, Any]

PACKAGES = (
    "django-broadcasting",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "daphne",
    "channels",
    "django",
    "redis",
    "celery",
)


def print_result(result: Result) -> None:
    """Print a table of medians, memory over time and who is missing."""
    told = result_as_json(result)
    columns, contenders = told["columns"], told["contenders"]
    print(f"\n{told['title']}")
    print(", ".join(f"{name} {value:g}" for name, value in told["options"].items()))
    names = max(map(len, contenders), default=0) + 2
    print(" " * names + "".join(f"{column['title']:>{width(column)}}" for column in columns))
    for name, contender in contenders.items():
        cells = (f"{cell(contender, column):>{width(column)}}" for column in columns)
        print(f"{name:{names}}" + "".join(cells))
    for name, rows in result.rounds.items():
        print_memory(name, rows[-1].get("memory_kb", []))
    for name, reason in result.skipped.items():
        print(f"Without {name}: {reason}")
    sys.stdout.flush()


def width(column: Json) -> int:
    """Return the room that a column gets on a terminal."""
    return max(len(column["title"]) + 2, 18 if column["compared"] else 11)


def cell(contender: Json, column: Json) -> str:
    """Return a median, and how many times the first contender's it is where that is told."""
    value = contender["medians"][column["key"]]
    if value is None:
        return "-"
    text = f"{value:,.{column['digits']}f}"
    ratio = contender["ratios"].get(column["key"], {}).get("median")
    return text if ratio is None else f"{text} ({ratio:.2f}\N{MULTIPLICATION SIGN})"


def print_memory(name: str, series: Sequence[float | None]) -> None:
    """Print a server's memory over time, in about ten numbers."""
    known = [value / 1024 for value in series if value is not None]
    if known:
        step = max(1, len(known) // 10)
        print(f"MB over time, {name}: " + " ".join(f"{value:.1f}" for value in known[::step]))


def as_json(results: Sequence[Result], command: str) -> dict[str, Any]:
    """Return everything about a run."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "results": [result_as_json(result) for result in results],
    }


def result_as_json(result: Result) -> dict[str, Any]:
    """Return one benchmark's part of it."""
    columns = result.benchmark.columns
    return {
        "benchmark": result.benchmark.name,
        "title": result.benchmark.title.format(**result.options),
        "about": result.benchmark.about,
        "options": dict(result.options),
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "digits": column.digits,
                "compared": column.compared,
            }
            for column in columns
        ],
        "contenders": {
            name: {
                "rounds": rows,
                "medians": {column.key: result.median(name, column.key) for column in columns},
                "ratios": {
                    column.key: result.ratios(name, column.key)
                    for column in columns
                    if column.compared and name != result.base
                },
            }
            for name, rows in result.rounds.items()
        },
        "skipped": dict(result.skipped),
    }


def machine() -> dict[str, Any]:
    """Return what the numbers depend on most."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "system": platform.system(),
    }


def cpu_model() -> str:
    """Return the processor's name for itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def versions() -> dict[str, str]:
    """Return the versions of all that took part, as far as they are here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, command in (("commit", ("git", "describe", "--always", "--dirty")), *TOOLS):
        if shutil.which(command[0]):
            done = subprocess.run(
                command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                found[name] = done.stdout.splitlines()[0].strip()
    return found | peer_versions()


TOOLS = (("node", ("node", "--version")), ("compiler", ("cc", "--version")))


def write_json(path: Path, results: Sequence[Result], command: str) -> None:
    """Write everything about a run into a file."""
    text = json.dumps(as_json(results, command), indent=1, ensure_ascii=False)
    # A list of numbers is one line: nobody reads histograms.
    text = re.sub(r"\[[\d\s.,\[\]nul-]+\]", lambda found: "".join(found[0].split()), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
