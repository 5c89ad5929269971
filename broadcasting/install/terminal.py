"""The command's face: its options, the diff, the question, what to do next."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broadcasting.install import plan as planning
from broadcasting.install.project import NoProject, find
from broadcasting.install.source import NotUnderstood

DONE, BY_HAND, UNUSABLE = 0, 1, 2
"""Exit codes: all is in place; something is left to do; there is no project to work on."""

NEXT = """
Next:

  python manage.py runserver
  open http://127.0.0.1:8000/broadcasting/welcome/ and press the button
"""

_COLOURS = {"+": "32", "-": "31", "@": "36"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller asked for."""

    dry_run: bool = False
    ask: bool = True
    settings_module: str | None = None


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options that ``python -m`` and ``manage.py`` share."""
    parser.add_argument("--dry-run", action="store_true", help="show the diff, write nothing")
    parser.add_argument(
        "--yes",
        "-y",
        "--no-input",
        "--noinput",
        action="store_false",
        dest="ask",
        help="write without asking",
    )


def wants_color(environ: Mapping[str, str]) -> bool:
    """Whether a terminal in this environment shows colours and its owner wants them."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    # The old Windows console prints the codes; the new one says who it is.
    return os.name != "nt" or bool({"WT_SESSION", "ANSICON", "TERM_PROGRAM"} & environ.keys())


class Out(Protocol):
    """What text is written to: a stream, or a management command's wrapper of one."""

    def write(self, text: str, /) -> object:
        """Write ``text``, which ends its line."""

    def isatty(self) -> bool:
        """Whether a person sees it."""


class Terminal:
    """Where text goes, in colour only if it is a terminal that wants it."""

    def __init__(
        self, out: Out, environ: Mapping[str, str], color: bool, ask: Callable[[str], str] | None
    ) -> None:
        self.out = out
        self.color = color and out.isatty() and wants_color(environ)
        self.ask = ask
        """Asks a person; None where nobody could answer."""

    def write(self, text: str, colour: str | None = None) -> None:
        """Write one line."""
        if colour and self.color:
            text = f"\x1b[{colour}m{text}\x1b[0m"
        self.out.write(text + "\n")

    def confirm(self, question: str) -> bool:
        """Return the answer; yes where there is nobody to ask."""
        if self.ask is None:
            return True
        try:
            answer = self.ask(f"{question} [y/N] ")
        except (EOFError, KeyboardInterrupt):
            self.write("")
            return False
        return answer.strip().lower() in ("y", "yes")


def run(folder: Path, options: Options, terminal: Terminal) -> int:
    """Install into the project in ``folder`` and return the exit code."""
    try:
        project = find(folder, os.environ, options.settings_module)
        plan = planning.make(project)
    except (NoProject, NotUnderstood) as error:
        terminal.write(str(error), "31")
        return UNUSABLE
    for change in plan.changes:
        for line in change.diff(project.shown(change.path)):
            terminal.write(line, _COLOURS.get(line[:1]))
        terminal.write("")
    status = BY_HAND if plan.by_hand else DONE
    if plan.changes and not options.dry_run:
        if options.ask and not terminal.confirm("Write these changes?"):
            terminal.write("Nothing was written.")
            return BY_HAND
        status = max(status, _write(plan.changes, terminal, project.shown))
    for left in plan.by_hand:
        terminal.write(f"{left.where} was left alone: {left.why}. By hand:", "33")
        terminal.write("".join(f"\n    {line}".rstrip(" ") for line in left.write.splitlines()))
        terminal.write("")
    for note in plan.notes:
        terminal.write(note)
    _close(plan, options, status, terminal)
    return status


def _write(changes: list[planning.Change], terminal: Terminal, shown: Callable[[Path], str]) -> int:
    status = DONE
    for change in changes:
        try:
            change.write()
        except OSError as error:
            terminal.write(f"{shown(change.path)} was not written: {error}", "31")
            status = BY_HAND
        else:
            terminal.write(f"{shown(change.path)} written")
    return status


def _close(plan: planning.Plan, options: Options, status: int, terminal: Terminal) -> None:
    if options.dry_run and plan.changes:
        terminal.write("Nothing was written: this was a dry run.")
    if status != DONE:
        terminal.write("Not all is in place yet: see above, then run this again.", "33")
    elif not options.dry_run or not plan.changes:
        if not plan.changes:
            terminal.write("There is nothing to do: all is in place.")
        terminal.write(NEXT, "32")
