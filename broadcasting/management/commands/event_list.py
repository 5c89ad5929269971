"""``manage.py event_list``: which events there are, what clients call them, who listens."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand

from broadcasting.checks.events import event_classes
from broadcasting.dispatching import EventOptions
from broadcasting.events import ShouldBroadcast
from broadcasting.listeners import Listener, listeners
from broadcasting.management.tables import place_of, show, show_json, written
from broadcasting.notifications import ECHO_NOTIFICATION_EVENT, BroadcastNotification
from broadcasting.queues import get_queue
from broadcasting.wording import name_of


class Command(BaseCommand):
    help = "List the events of this project that were imported, as those of events.py are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--event", metavar="TEXT", default="", help="only those whose path contains this"
        )
        parser.add_argument("--json", action="store_true", help="print JSON for programs")

    def handle(self, *args: Any, event: str, **options: Any) -> None:
        entries = [e for e in map(entry_of, every_event()) if event in e["event"]]
        if options["json"]:
            show_json(self.stdout, entries)
            return
        if not entries:
            self.stdout.write(
                f"No event whose path contains {event!r}."
                if event
                else "No events. Write one in the events.py of an app; manage.py make_event"
                " begins it."
            )
            return
        show(self.stdout, [row_of(entry) for entry in entries], no_color=options["no_color"])
        self.stdout.write("")
        self.stdout.write(f"{len(entries)} event{'s' * (len(entries) != 1)}")


def every_event() -> Iterator[type]:
    """Yield the events of the project, and whatever somebody listens to, by their paths."""
    heard = {event for listener in listeners for event in listener.events}
    yield from sorted({*event_classes(), *heard}, key=name_of)


def entry_of(event: type) -> dict[str, Any]:
    """Return what is to be known of an event, as JSON data."""
    file, line = place_of(_written_as(event))
    # What is listened to with its subclasses need be no event itself.
    sent = issubclass(event, ShouldBroadcast)
    options: EventOptions = getattr(event, "_broadcasting", EventOptions())
    queue = "now" if options.now else options.queue or get_queue().default_name
    return {
        "event": name_of(event),
        "name": _name_of(event) if issubclass(event, ShouldBroadcast) else None,
        "queue": queue if sent else None,
        "broadcasters": [*options.broadcasters] if sent else [],
        "listeners": [_listener(listener) for listener in listeners.of(event)],
        "file": file,
        "line": line,
    }


def row_of(entry: dict[str, Any]) -> dict[str, str]:
    """Return an entry as a person reads it."""
    heard = (
        f"{one['listener']} (queue {one['queue']})" if one["queue"] else str(one["listener"])
        for one in entry["listeners"]
    )
    return {
        "event": entry["event"],
        "name": entry["name"] or "as it says",
        "queue": entry["queue"] or "",
        "listeners": ", ".join(heard),
        "where": written(entry["file"], entry["line"]),
    }


def _written_as(event: type) -> type:
    """Return the class that somebody wrote: for the event of a model the model."""
    models = (m for m in apps.get_models() if vars(m).get("BroadcastEvent") is event)
    return next(models, event)


def _name_of(event: type[ShouldBroadcast]) -> str | None:
    """Return what clients listen to; None where each event says that itself."""
    if event.broadcast_as is not ShouldBroadcast.broadcast_as:
        return None
    options: EventOptions = event._broadcasting
    if options.name is None and issubclass(event, BroadcastNotification):
        return ECHO_NOTIFICATION_EVENT
    return options.name or event.__name__


def _listener(listener: Listener) -> dict[str, Any]:
    queue = listener.queue or get_queue().default_name
    file, line = place_of(listener.handler)
    return {
        "listener": listener.name,
        "queue": queue if listener.queued else None,
        "after_commit": listener.after_commit,
        "file": file,
        "line": line,
    }
