"""Lists on the way to a person, a pipe or a program: in columns, in lines, as JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from django.core.management.base import OutputWrapper

Rows = Sequence[Mapping[str, str]]


def show(out: OutputWrapper, rows: Rows, *, no_color: bool) -> None:
    """Print ``rows``, which all have the same keys: folded for a terminal, else a line each."""
    if out.isatty():
        _show_to_a_person(out, rows, no_color)
    else:
        _show_plain(out, rows)


def _show_plain(out: OutputWrapper, rows: Rows) -> None:
    """One line each and nothing folded, for grep."""
    widths = _widths(rows)
    for line in [{name: name.upper() for name in widths}, *rows]:
        out.write("  ".join(line[name].ljust(widths[name]) for name in widths).rstrip())


def _widths(rows: Rows) -> dict[str, int]:
    return {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}


def _show_to_a_person(out: OutputWrapper, rows: Rows, no_color: bool) -> None:
    # Not at the top: `manage.py help` must not pay for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in rows[0]:
        table.add_column(name.capitalize(), overflow="fold")
    for row in rows:
        # Text, since square brackets mean something in plain strings.
        table.add_row(*(Text(cell) for cell in row.values()))
    console = Console(file=cast(TextIO, out), color_system=None if no_color else "auto")
    if sum(width + 2 for width in _widths(rows).values()) <= console.width:
        console.print(table)
        return
    # Folded columns cannot be read: a paragraph each instead.
    for row in rows:
        (_, title), *others = row.items()
        console.print(Text(title, style="bold"))
        for name, cell in others:
            if cell:
                console.print(Text.assemble((f"  {name:<10}", "dim"), cell))


def show_json(out: OutputWrapper, entries: Sequence[Mapping[str, Any]]) -> None:
    """Print ``entries`` as one JSON list."""
    out.write(json.dumps(entries, indent=2))


def place_of(thing: Any) -> tuple[str | None, int | None]:
    """Return the file and the line where a function or class is written, as far as is known.

    The file is relative to the working directory where it is inside.
    """
    try:
        unwrapped = inspect.unwrap(thing)
        _, line = inspect.findsource(unwrapped)
        file = inspect.getsourcefile(unwrapped)
    except (OSError, TypeError):
        return None, None
    if file is None:
        return None, None
    return shown(Path(file)), line + 1


def shown(path: Path) -> str:
    """Return ``path`` as a person would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def written(file: str | None, line: int | None) -> str:
    """Return the place as editors and terminals understand it."""
    return "" if file is None else f"{file}:{line}"
