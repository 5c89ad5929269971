"""``manage.py broadcasting_relay``: hand on what the outbox holds."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue, beside
from broadcasting.queues.outbox.relay import Relay, counters


class Command(BaseCommand):
    help = "Hand on the events that committed transactions left in the outbox."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when nothing is left to do")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        queue = get_queue()
        if not isinstance(queue, OutboxQueue):
            raise CommandError(
                "There is no outbox: BROADCASTING['QUEUE'] = {'BACKEND': 'outbox'} makes one."
            )
        relay = Relay(queue)
        if once:
            relay.relay_all()
            self.stdout.write(
                f"{counters.relayed} handed on, {counters.retried} to be tried again,"
                f" {counters.parked} parked, {counters.expired} expired"
            )
            return
        before = [
            (each, signal.signal(each, lambda *_: relay.stop()))
            for each in (signal.SIGTERM, signal.SIGINT)
        ]
        databases = ", ".join(queue.databases)
        self.stdout.write(f"Relaying what is recorded in {databases}. Stop with Control-C.")
        self.stdout.flush()
        try:
            beside.run(relay)
        finally:
            for each, handler in before:
                signal.signal(each, handler)
