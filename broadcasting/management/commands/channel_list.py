"""``manage.py channel_list``: which rule decides about which channels."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from broadcasting.authorization.defaults import default_routes
from broadcasting.authorization.guards import Guard
from broadcasting.authorization.rules import Route, routes
from broadcasting.conf import get_settings
from broadcasting.management.tables import place_of, show, show_json, written
from broadcasting.protocol.names import ChannelKind
from broadcasting.wording import name_of

KINDS = {
    ChannelKind.PRIVATE: "private",
    ChannelKind.PRESENCE: "presence",
    ChannelKind.ENCRYPTED: "encrypted",
}


class Command(BaseCommand):
    help = "List the rules of private and presence channels, in the order in which they are asked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        entries = [entry_of(route) for route in (*routes, *default_routes())]
        if options["json"]:
            show_json(self.stdout, entries)
            return
        if not entries:
            self.stdout.write(
                "No rules, so nobody may join a private or presence channel. Write one in the"
                " channels.py of an app; manage.py make_channel begins it."
            )
            return
        show(self.stdout, [row_of(entry) for entry in entries], no_color=options["no_color"])
        self.stdout.write("")
        self.stdout.write(f"{len(entries)} rule{'s' * (len(entries) != 1)}")


def entry_of(route: Route) -> dict[str, Any]:
    """Return what is to be known of a rule, as JSON data."""
    file, line = place_of(route.handler)
    guards = get_settings().authorization.guards if route.guards is None else route.guards
    return {
        "pattern": route.text,
        "kinds": [word for kind, word in KINDS.items() if kind in route.kinds],
        "guards": [_guard(guard) for guard in guards],
        "allow_anonymous": route.allow_anonymous,
        "handler": route.name,
        "file": file,
        "line": line,
    }


def row_of(entry: dict[str, Any]) -> dict[str, str]:
    """Return an entry as a person reads it."""
    guests = ["guests"] if entry["allow_anonymous"] else []
    return {
        "pattern": entry["pattern"],
        "kinds": ", ".join(entry["kinds"]),
        "guards": ", ".join([*entry["guards"], *guests]),
        "handler": entry["handler"],
        "where": written(entry["file"], entry["line"]),
    }


def _guard(guard: Guard) -> str:
    return guard if isinstance(guard, str) else name_of(guard)
