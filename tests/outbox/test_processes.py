"""Publishers and relays that are killed: nothing that was committed is lost, and order stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import live
from tests.outbox import postgres
from tests.outbox.program import Line, lines

pytestmark = pytest.mark.full

SETTINGS = "tests.outbox.live_settings"

# Tables without migrations come first, and one of them refers to users.
MIGRATE = (
    "import django; django.setup(); from django.core.management import call_command as c;"
    "c('migrate', 'auth', verbosity=0); c('migrate', run_syncdb=True, verbosity=0)"
)

# The second transaction begins after the first, and commits before it.
OVERLAP = """
import django, threading
django.setup()
from django.core.management import call_command
from django.db import connections, transaction
from tests.outbox.site import Said

def other():
    with transaction.atomic():
        Said(2).dispatch()
    call_command("broadcasting_relay", "--once")
    connections.close_all()

with transaction.atomic():
    Said(1).dispatch()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
Said(3).dispatch()
call_command("broadcasting_relay", "--once")
"""


def options(lease: float) -> str:
    """``lease``: seconds; short where one dies, long where none may be taken for dead."""
    return json.dumps({"lease": lease, "poll": 0.05, "batch": 10})


class Site:
    """Processes that share one database, and one file of what arrived."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.arrived = folder / "arrived"
        self.log = folder / "log"
        self.log.touch()
        self.env = env | {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            # Where the driver of PostgreSQL is, too.
            "PYTHONPATH": os.pathsep.join([str(live.ROOT), os.environ.get("PYTHONPATH", "")]),
            "OUTBOX_FILE": str(self.arrived),
            "OUTBOX_OPTIONS": options(lease=2),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return live.run(self.env, *arguments)

    def publish(self, first: int, last: int, channels: str, then: str = "ends") -> int:
        command = ("-m", "tests.outbox.program", str(first), str(last), channels, then)
        return self.run(*command).returncode

    @contextmanager
    def process(self, *arguments: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        process = live.spawn([sys.executable, *arguments], self.env | env, self.log)
        try:
            yield process
        finally:
            if process.poll() is None:
                live.stop(process)

    def relay(self, **env: str) -> Any:
        return self.process("-m", "django", "broadcasting_relay", **env)

    def wait_for(self, test: Callable[[list[Line]], bool]) -> list[Line]:
        """Return what has arrived once ``test`` likes it."""
        ends = time.monotonic() + live.PATIENCE
        while time.monotonic() < ends:
            if test(found := lines(self.arrived)):
                return found
            time.sleep(0.05)  # other processes' file
        raise AssertionError(f"{lines(self.arrived)}\n{self.log.read_text()[-3000:]}")

    def left(self) -> str:
        code = (
            "import django; django.setup();"
            "from broadcasting.models import OutboxEntry as E; print(E.objects.count())"
        )
        return self.run("-c", code).stdout.strip()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg")
    if postgres.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    yield from postgres.running()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "sqlite":
        env = {"BROADCASTING_TEST_DATABASE": str(tmp_path / "live.sqlite3")}
    else:
        env = {"OUTBOX_POSTGRES": request.getfixturevalue("server")}
    made = Site(tmp_path, env)
    if request.param == "postgresql":
        name = f"t{os.urandom(6).hex()}"
        created = made.run(
            "-c",
            "import django; django.setup(); from django.db import connection as c;"
            f"c.cursor().execute('CREATE DATABASE {name}')",
        )
        assert created.returncode == 0, created.stderr
        made.env["OUTBOX_DATABASE"] = name
    migrated = made.run("-c", MIGRATE)
    assert migrated.returncode == 0, migrated.stderr
    return made


def by_channel(found: list[Line]) -> dict[str, list[int]]:
    channels: dict[str, list[int]] = defaultdict(list)
    for _, channel, number in found:
        channels[channel].append(number)
    return channels


def test_a_publisher_killed_after_its_commit_loses_nothing(site: Site) -> None:
    assert site.publish(0, 5, "news", "dies") == -signal.SIGKILL
    assert lines(site.arrived) == []
    with site.relay():
        found = site.wait_for(lambda found: len(found) >= 5)
    assert [number for _, _, number in found] == [0, 1, 2, 3, 4]
    assert site.left() == "0"


def test_a_relay_killed_in_the_midst_repeats_with_the_same_ids(site: Site) -> None:
    assert site.publish(0, 30, "news") == 0
    with site.relay(OUTBOX_DIE_AT="14") as first:
        assert first.wait(live.PATIENCE) == -signal.SIGKILL
    before = len(lines(site.arrived))
    assert before == 15
    with site.relay():
        found = site.wait_for(lambda found: {n for _, _, n in found} == {*range(30)})
    # The five of its batch that had left, and were still in the table.
    assert [number for _, _, number in found] == [*range(15), *range(10, 30)]
    ids: dict[int, set[str]] = defaultdict(set)
    for number, _, value in found:
        ids[value].add(number)
    assert all(len(each) == 1 for each in ids.values())
    assert len({number for number, _, _ in found}) == 30
    assert site.left() == "0"


def test_several_relays_share_the_work_and_keep_the_order(site: Site) -> None:
    total = 120
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(site.relay(OUTBOX_OPTIONS=options(lease=60)))
        for first in (0, 1_000):
            command = (
                "-m",
                "tests.outbox.program",
                str(first),
                str(first + total),
                "a,b,c",
                "ends",
            )
            stack.enter_context(site.process(*command))
        found = site.wait_for(lambda found: len(found) >= 2 * total)
    assert len({number for number, _, _ in found}) == len(found) == 2 * total
    for each in by_channel(found).values():
        for own in ([n for n in each if n < 1_000], [n for n in each if n >= 1_000]):
            assert own == sorted(own)
    assert site.left() == "0"


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_a_number_that_is_committed_late_is_found(site: Site) -> None:
    """SQLite has one writer at a time, whose numbers are in the order of their commits."""
    done = site.run("-c", OVERLAP)
    assert done.returncode == 0, done.stderr
    assert [number for _, _, number in lines(site.arrived)] == [2, 1, 3]
    assert site.left() == "0"


def test_a_relay_that_is_told_to_stop_ends_well(site: Site) -> None:
    with site.relay() as process:
        live.wait_for_line(site.log, "Relaying", process)
        assert live.stop(process) == 0
