"""Run seeds: ``python -m tests.simulator [--seed N | --count N [--start N]]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys


def main() -> int:
    """Return how many seeds failed, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one and tell its story")
    parser.add_argument("--count", type=int, default=300, help="run so many")
    parser.add_argument("--start", type=int, default=1, help="from this one on")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets would have another order each time, and with them what follows.
        os.execve(  # noqa: S606
            sys.executable,
            [sys.executable, "-m", "tests.simulator", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    logging.disable(logging.CRITICAL)
    from tests.simulator.scenario import run

    if options.seed is not None:
        outcome = run(options.seed)
        print(*outcome.story, *[f"FAULT {fault}" for fault in outcome.faults], sep="\n")
        return bool(outcome.faults)
    failed = 0
    for seed in range(options.start, options.start + options.count):
        outcome = run(seed)
        if outcome.faults:
            failed += 1
            print(outcome.line, flush=True)
    print(f"{options.count} seeds, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
