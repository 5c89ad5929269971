"""Chaos for some minutes: ``./dev chaos [--seed N] [--minutes M] [--clients N]``."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys


def main() -> int:
    """Return 1 if something was not right in the end."""
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=300)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from tests.chaos.run import run

    print(f"seed {options.seed}", flush=True)
    outcome = asyncio.run(run(options.seed, options.minutes * 60, options.clients))
    print(*outcome.story, *[f"FAULT {fault}" for fault in outcome.faults[:50]], sep="\n")
    print(
        f"{len(outcome.story)} blows, {outcome.published} events published; sockets closed with"
        f" {dict(outcome.codes)}; right {outcome.recovered:.1f} s after peace;"
        f" {outcome.memory // 1000:,} KB kept; {len(outcome.faults)} faults"
    )
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main())
