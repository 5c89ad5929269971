"""``manage.py broadcasting_doctor``: where does an event stop, and what has to change?"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO, cast

from django.core.management.base import BaseCommand

if TYPE_CHECKING:
    from broadcasting.doctor.report import Hop

COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


class Command(BaseCommand):
    help = "Walk the way of an event, from the settings to a real socket; exit 1 where it ends."
    # Broken settings are what this is for: the checks are its first hop.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url",
            help="the server, such as wss://ws.example.com (default: SERVER.PUBLIC_URL, else"
            " ports 8000 and 6001 of this machine)",
        )
        parser.add_argument(
            "--timeout", type=seconds, default=5.0, help="seconds that one hop may take (5)"
        )
        parser.add_argument("--origin", help="the Origin a browser would send (default: none)")
        parser.add_argument("--json", action="store_true", help="print JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        # Not at the top: `manage.py help` must not pay for a WebSocket client.
        from broadcasting.doctor.examination import Wish, examine

        wish = Wish(url=options["url"], timeout=options["timeout"], origin=options["origin"])
        show = self.write_json if options["json"] else self.write_text
        hops = show(examine(wish), no_color=options["no_color"])
        if any(hop.status == "failed" for hop in hops):
            sys.exit(1)

    def write_json(self, hops: Iterator[Hop], **options: Any) -> list[Hop]:
        """Print one JSON object once everything is known."""
        found = list(hops)
        ok = not any(hop.status == "failed" for hop in found)
        body = {"ok": ok, "hops": [asdict(hop) for hop in found]}
        self.stdout.write(json.dumps(body, indent=2))
        return found

    def write_text(self, hops: Iterator[Hop], *, no_color: bool) -> list[Hop]:
        """Print each hop as soon as it is known."""
        write = self.terminal(no_color) if self.stdout.isatty() else self.write_plain
        found = []
        for hop in hops:
            write(hop)
            found.append(hop)
        self.stdout.write("")
        if stops := [hop.name for hop in found if hop.status == "failed"]:
            self.stdout.write(self.style.ERROR(f"Events do not pass: {', '.join(stops)}."))
        else:
            self.stdout.write(self.style.SUCCESS(verdict(found)))
        return found

    def write_plain(self, hop: Hop) -> None:
        """Print one line, and one with the cure; nothing is folded, for grep and logs."""
        self.stdout.write(f"{hop.status:<8} {hop.name:<13} {took(hop):>9}  {hop.detail}")
        if hop.cure:
            self.stdout.write(f"{'':>33} {hop.cure}")

    def terminal(self, no_color: bool) -> Callable[[Hop], None]:
        """Return what prints a hop in colour, folded into columns."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=cast(TextIO, self.stdout), no_color=no_color or None)

        def write(hop: Hop) -> None:
            table = Table.grid(padding=(0, 2))
            for width in (7, 12, 9):
                table.add_column(width=width)
            table.add_column(ratio=1)
            detail = Text(hop.detail)
            if hop.cure:
                detail.append(f"\n{hop.cure}", style="bold")
            table.add_row(
                Text(hop.status, style=COLOURS[hop.status]),
                hop.name,
                Text(took(hop), justify="right"),
                detail,
            )
            console.print(table)

        return write


def verdict(hops: Sequence[Hop]) -> str:
    """Return the last line, where no hop failed."""
    skipped = [hop.name for hop in hops if hop.status == "skipped"]
    warned = [hop.name for hop in hops if hop.status == "warning"]
    text = "Every hop works" if not skipped else "Every hop that was tried works"
    if skipped:
        text += f"; not tried: {', '.join(skipped)}"
    if warned:
        text += f"; look at: {', '.join(warned)}"
    return f"{text}."


def took(hop: Hop) -> str:
    """Return a hop's time as text."""
    return "" if hop.milliseconds is None else f"{hop.milliseconds:.1f} ms"


def seconds(text: str) -> float:
    """Return a positive number from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
