from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.testapp.views import Undone, ship_order


class Command(BaseCommand):
    help = "Ship an order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pk", type=int)
        parser.add_argument("--fail", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ship_order(options["pk"], fail=options["fail"])
        except Undone:
            raise CommandError("undone") from None
