"""``manage.py broadcast_send``: one event from the shell, as a project would send it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from broadcasting.anonymous import on
from broadcasting.conf import get_settings
from broadcasting.dispatching.failures import failed
from broadcasting.exceptions import BroadcastingError
from broadcasting.socket_ids import MAX_LENGTH


class Command(BaseCommand):
    help = "Send an event to a channel, through the queue and the broadcasters of this project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", help="its whole name, such as private-orders.1")
        parser.add_argument("event", help="what clients listen to, such as OrderShipped")
        parser.add_argument(
            "data", nargs="?", default="{}", metavar="JSON", help="an object; default: {}"
        )
        parser.add_argument(
            "--via",
            action="append",
            default=[],
            metavar="ALIAS",
            help="a broadcaster in place of the default one; may be repeated",
        )
        parser.add_argument(
            "--to-others", metavar="SOCKET", help="the socket id of a client that is left out"
        )
        parser.add_argument("--now", action="store_true", help="send here, without the queue")

    def handle(
        self,
        *args: Any,
        channel: str,
        event: str,
        data: str,
        via: list[str],
        to_others: str | None,
        now: bool,
        **options: Any,
    ) -> None:
        settings = get_settings()
        if unknown := [alias for alias in via if alias not in settings.broadcasters]:
            known = ", ".join(settings.broadcasters)
            raise CommandError(f"BROADCASTERS has no {unknown[0]!r}; it has: {known}")
        if to_others is not None and not 0 < len(to_others) <= MAX_LENGTH:
            raise CommandError(
                f"--to-others: 1 to {MAX_LENGTH} characters, as Echo.socketId() says"
            )
        payload = _payload(data)
        lost = failed.total()
        try:
            broadcast = on(channel).as_(event).with_(payload).via(*via)
            if to_others is not None:
                broadcast = broadcast.to_others(to_others)
            (broadcast.send_now if now else broadcast.send)()
        except (BroadcastingError, ImproperlyConfigured) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        if failed.total() > lost:
            # Under RESCUE; without it, it was raised.
            raise CommandError("It was not sent: the log says why.")
        aliases = ", ".join(via or [settings.default_broadcaster])
        self.stdout.write(f"{event} on {channel} was handed on, through {aliases}.")


def _payload(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"The data is not JSON ({error}). In a shell, put it in single quotes: '{{\"id\": 1}}'"
        ) from error
    if not isinstance(payload, dict):
        raise CommandError(
            f"The data must be an object, as '{{\"id\": 1}}', not a {type(payload).__name__}"
        )
    return payload
