"""What a run gave: a table for people, JSON for plots and for later.

The JSON holds the machine, the versions, the command and every round's numbers, so that a page
can be made from it anywhere (see page.py) and nobody has to believe a median.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.benchmark import Column, Result
from tests.benchmarks.contenders import peer_versions

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
    """Print a table of medians, the ratios and who is missing."""
    print(f"\n{result.benchmark.title}")
    print(", ".join(f"{name} {value:g}" for name, value in result.options.items()))
    columns = result.benchmark.columns
    if result.rounds:
        width = max(map(len, result.rounds)) + 2
        print(" " * width + "".join(f"{column.title:>16}" for column in columns))
        for name in result.rounds:
            cells = (shown(result.median(name, column.key), column) for column in columns)
            print(f"{name:{width}}" + "".join(f"{cell:>16}" for cell in cells))
        for column in columns:
            print_ratios(result, column)
    for name, reason in result.skipped.items():
        print(f"Without {name}: {reason}")


def shown(value: float | None, column: Column) -> str:
    """Return a number as the table shows it."""
    return "-" if value is None else f"{value:,.{column.digits}f}"


def print_ratios(result: Result, column: Column) -> None:
    """Print what the others' numbers are in terms of the first contender's."""
    if not column.compared:
        return
    for name in list(result.rounds)[1:]:
        ratios = result.ratios(name, column.key)
        if ratios["of_medians"] is not None and ratios["median"] is not None:
            print(
                f"{column.title}: {name} {ratios['of_medians']:.2f} times {result.base}"
                f" (median of the turns {ratios['median']:.2f})"
            )


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
        "title": result.benchmark.title,
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
                    if column.compared
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
    for name, command in (("commit", ("git", "rev-parse", "--short", "HEAD")), *TOOLS):
        if shutil.which(command[0]):
            done = subprocess.run(
                command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                found[name] = done.stdout.splitlines()[0].strip()
    return found | peer_versions()


TOOLS = (("node", ("node", "--version")), ("cc", ("cc", "--version")))


def write_json(path: Path, results: Sequence[Result], command: str) -> None:
    """Write everything about a run into a file."""
    path.write_text(json.dumps(as_json(results, command), indent=1, ensure_ascii=False) + "\n")
