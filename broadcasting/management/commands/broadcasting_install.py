"""``manage.py broadcasting_install``: the same as ``python -m broadcasting install``."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from broadcasting.install import terminal


class Command(BaseCommand):
    help = "Put what broadcasting needs into settings, urls and asgi; shows the diff first."
    # A project that is only half set up is just what this is for.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        terminal.add_arguments(parser)

    def handle(self, *args: Any, dry_run: bool, ask: bool, **options: Any) -> None:
        folder = Path.cwd()
        if not (folder / "manage.py").is_file():
            folder = Path(sys.argv[0]).resolve().parent
        person = input if sys.stdin.isatty() and self.stdout.isatty() else None
        status = terminal.run(
            folder,
            terminal.Options(dry_run=dry_run, ask=ask, settings_module=options["settings"]),
            terminal.Terminal(self.stdout, os.environ, color=not options["no_color"], ask=person),
        )
        if status:
            sys.exit(status)
