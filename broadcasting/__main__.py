"""``python -m broadcasting``: what has to work before the app is in any settings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from broadcasting import __version__
from broadcasting.install import terminal


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit code; without a verb, print the help."""
    parser = argparse.ArgumentParser(
        prog="python -m broadcasting", description="Realtime for Django."
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(title="verbs", dest="verb")
    install = verbs.add_parser(
        "install",
        help="make the project in this folder live",
        description="Make a Django project live; run it beside manage.py.",
    )
    terminal.add_arguments(install)
    install.add_argument("--settings", metavar="MODULE", help="the settings module to edit")
    install.add_argument("--no-color", action="store_true", help="no colours")
    options = parser.parse_args(arguments)
    if options.verb is None:
        parser.print_help()
        return 0
    person = input if sys.stdin.isatty() and sys.stdout.isatty() else None
    return terminal.run(
        Path.cwd(),
        terminal.Options(
            dry_run=options.dry_run, ask=options.ask, settings_module=options.settings
        ),
        terminal.Terminal(sys.stdout, os.environ, color=not options.no_color, ask=person),
    )


if __name__ == "__main__":
    sys.exit(main())
