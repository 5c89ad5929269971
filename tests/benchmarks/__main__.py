"""The benchmarks: ``./dev bench [NAME ...]``, which is ``python -m tests.benchmarks``.

Without a name a short set runs, in a few minutes; ``all`` runs what the documentation's page
shows; ``list`` says what there is; ``page [FILE ...]`` makes that page from what ``--json``
wrote. Linux only, and two cores at least: the server has one, the
load and the publisher have the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import page, report
from tests.benchmarks.benchmark import Benchmark, Options, Result, take_turns
from tests.benchmarks.client import LoadFailed, build
from tests.benchmarks.contenders import CONTENDERS, LIMIT, SOKETI, UVICORN, Application, Contender
from tests.benchmarks.dispatch import PUBLISH
from tests.benchmarks.fanout import FANOUT
from tests.benchmarks.herd import HERD
from tests.benchmarks.http_events import TRIGGER
from tests.benchmarks.idle import IDLE
from tests.benchmarks.latency import LATENCY
from tests.benchmarks.presence import PRESENCE
from tests.benchmarks.stalled import STALLED
from tests.benchmarks.steady import STEADY
from tests.benchmarks.storm import STORM

BENCHMARKS: Mapping[str, Benchmark] = {
    each.name: each
    for each in (FANOUT, LATENCY, STORM, IDLE, PRESENCE, STEADY, STALLED, TRIGGER, PUBLISH, HERD)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A benchmark, and what is not as it usually is."""

    benchmark: Benchmark
    options: Mapping[str, float] = field(default_factory=dict)
    contenders: tuple[str, ...] = ()


FAST = (UVICORN, SOKETI, LIMIT)
SLOW = {"messages": 60, "rate": 8}
LARGE = {"sockets": 8000, "messages": 40, "rate": 5}

SHORT = (
    Plan(benchmark=FANOUT, contenders=FAST, options={"messages": 200, "rounds": 2}),
    Plan(benchmark=LATENCY, contenders=FAST, options={"seconds": 5, "rounds": 1}),
    Plan(benchmark=STORM, contenders=FAST, options={"sockets": 2000, "rounds": 2}),
    Plan(benchmark=IDLE, contenders=FAST, options={"sockets": 2000, "rounds": 1}),
    Plan(benchmark=TRIGGER, options={"rounds": 2}),
)
ALL = (
    Plan(benchmark=FANOUT, contenders=FAST, options={"rounds": 5}),
    # At a rate at which the slowest can keep up.
    Plan(benchmark=FANOUT, options=SLOW),
    Plan(benchmark=FANOUT, contenders=FAST, options=LARGE),
    Plan(benchmark=LATENCY),
    Plan(benchmark=STORM),
    Plan(benchmark=IDLE),
    Plan(benchmark=PRESENCE),
    Plan(benchmark=PRESENCE, options={"sockets": 1000, "members": 1000}),
    Plan(benchmark=STEADY),
    Plan(benchmark=STALLED),
    Plan(benchmark=TRIGGER),
    Plan(benchmark=PUBLISH),
    Plan(benchmark=HERD),
)


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; return the exit status."""
    if arguments and arguments[0] == "page":
        return page.main(arguments[1:])
    parser = make_parser()
    words = parser.parse_args(arguments)
    if "list" in words.names:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:10}{benchmark.about.partition(chr(10))[0]}")
        return 0
    try:
        plans = choose(words.names)
        mine = own_contenders(words)
        given = given_options(words, plans)
        if unknown := [text for text in words.only if not named(text, list(mine))]:
            raise ValueError(f"no server has {unknown[0]} in its name")
    except ValueError as error:
        parser.error(str(error))
    results: list[Result] = []
    try:
        build()  # before anything takes long
        for plan in plans:
            results.append(carry_out(plan, given, mine, words))
            report.print_result(results[-1])
    except LoadFailed as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    finally:
        # Nor must Control-C lose what is done.
        if words.json and results:
            command = shlex.join(["./dev", "bench", *arguments])
            report.write_json(words.json, results, command)
    return int(any(result.failed for result in results))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=" | ".join([*BENCHMARKS, "all"]))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything into a file")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="in the name")
    for option in dataclasses.fields(Options):
        # With postponed annotations a field's type is its text.
        kind = int if option.type == "int" else float
        users = ", ".join(name for name, each in BENCHMARKS.items() if option.name in each.defaults)
        parser.add_argument(f"--{option.name}", type=kind, metavar="N", help=f"for {users}")
    own = parser.add_argument_group("a server of your own")
    own.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="one that is started by a command with {port} in it; may be repeated",
    )
    own.add_argument("--url", metavar="ws://HOST:PORT", help="one that runs; measured alone")
    own.add_argument("--pid", type=int, help="its process, for processor time and memory")
    own.add_argument("--app-id", default="app", help="default: %(default)s")
    own.add_argument("--key", default="app-key", help="default: %(default)s")
    own.add_argument("--secret", default="app-secret", help="default: %(default)s")
    return parser


def choose(names: Sequence[str]) -> Sequence[Plan]:
    """Return what the names on the command line stand for."""
    if not names:
        return SHORT
    if "all" in names:
        return ALL
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"there is no benchmark {unknown[0]}, but {', '.join(BENCHMARKS)}, all")
    return [Plan(benchmark=BENCHMARKS[name]) for name in names]


def given_options(words: argparse.Namespace, plans: Iterable[Plan]) -> dict[str, float]:
    """Return the options that were given; one that nobody takes, or of nothing, is an error."""
    names = [option.name for option in dataclasses.fields(Options)]
    given = {name: getattr(words, name) for name in names if getattr(words, name) is not None}
    taken = {name for plan in plans for name in plan.benchmark.defaults}
    if ignored := [name for name in given if name not in taken]:
        raise ValueError(f"nothing that runs takes --{ignored[0]}")
    if too_low := [name for name, number in given.items() if not number > 0]:
        raise ValueError(f"--{too_low[0]} has to be more than 0")
    return given


def own_contenders(words: argparse.Namespace) -> dict[str, Contender]:
    """Return the servers that the command line brings."""
    application = Application(id=words.app_id, key=words.key, secret=words.secret)
    found: dict[str, Contender] = {}
    for text in words.server:
        name, equals, command = text.partition("=")
        if not equals or "{port}" not in command:
            raise ValueError(f"--server {text!r} is not NAME=COMMAND with {{port}} in it")
        found[name] = Contender(command=tuple(shlex.split(command)), application=application)
    if words.url:
        url = urllib.parse.urlsplit(words.url)
        if url.scheme not in ("ws", "http") or url.hostname is None:
            raise ValueError("--url is ws://HOST:PORT; the load does not speak TLS")
        address = (url.hostname, url.port or 80)
        found[words.url] = Contender(address=address, pid=words.pid, application=application)
    return found


def carry_out(
    plan: Plan, given: Mapping[str, float], mine: Mapping[str, Contender], words: argparse.Namespace
) -> Result:
    """Run one plan, with what the command line changes of it."""
    benchmark = plan.benchmark
    changed = {name: value for name, value in given.items() if name in benchmark.defaults}
    options = Options(**{**benchmark.defaults, **plan.options, **changed})  # type: ignore[arg-type]
    usual = [*(plan.contenders or benchmark.contenders), *mine]
    if words.only:
        names = [name for text in words.only for name in named(text, usual)]
    else:
        names = list(mine) if words.url else usual
    return take_turns(benchmark, options, list(dict.fromkeys(names)), mine)


def named(text: str, usual: Sequence[str]) -> list[str]:
    """Return the usual contenders with ``text`` in their name, else any others."""
    found = [name for name in usual if text in name]
    return found or [name for name in CONTENDERS if text in name]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
