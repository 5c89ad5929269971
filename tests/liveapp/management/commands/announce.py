from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tests.liveapp.events import announce


class Command(BaseCommand):
    help = "Broadcast as a management command of a project would."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")

    def handle(self, *args: Any, channel: str, **options: Any) -> None:
        announce(channel)
