"""The parent of workers: how often it starts one again, and whom it believes.

The workers are small programs that speak its language, and do what a file tells them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broadcasting.server.listening import on_shared_port
from broadcasting.server.supervisor import CannotStart, Pace, Supervisor
from tests.live import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs processes of Linux")

PROGRAM = """\
import json, os, signal, socket, sys
folder = sys.argv[1]
mode = open(f"{folder}/mode").read()
given = json.loads(os.environ["BROADCASTING_WORKER"])
with open(f"{folder}/pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
line = socket.socket(fileno=given["line"])
if mode == "crash":
    sys.exit(3)
line.send(b"listens\\n")
if mode != "never ready":
    line.send(b"ready\\n")
if mode == "asks":
    line.send(b"restart 1 0\\nrestart 1 0\\n")
for word in line.makefile():
    if mode != "deaf" and (mode, word) != ("stays", "replaced\\n"):
        sys.exit(0)
while mode == "deaf":
    signal.pause()
"""

PACE = Pace(
    start=PATIENCE, first_delay=0.01, longest_delay=0.04, steady=3600, lend=0.02, drain=PATIENCE
)


class Family:
    """A parent, and where its workers look."""

    def __init__(
        self,
        folder: Path,
        caplog: pytest.LogCaptureFixture,
        pace: Pace,
        *,
        mode: str = "fine",
        workers: int = 2,
    ) -> None:
        self.folder = folder
        self.caplog = caplog
        self.announced = 0
        self.mode(mode)
        self.program = folder / "program"
        self.program.write_text(f"#!{sys.executable} -SE\n{PROGRAM}")
        self.program.chmod(0o755)
        listenings = on_shared_port("127.0.0.1", 0, workers)
        command = [str(self.program), str(folder)]
        self.parent = Supervisor(command, listenings, self._announce, pace)

    def _announce(self) -> None:
        self.announced += 1

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def pids(self) -> list[int]:
        """Those that ever ran, in the order in which they were started."""
        return [int(pid) for pid in (self.folder / "pids").read_text().split()]

    def alive(self) -> set[int]:
        return {worker.pid for worker in self.parent._workers}

    def said(self, text: str) -> list[logging.LogRecord]:
        return [record for record in self.caplog.records if text in record.getMessage()]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(
    folder: Path, caplog: pytest.LogCaptureFixture, pace: Pace = PACE, **options: Any
) -> AsyncIterator[Family]:
    """``options``: as of Family."""
    family = Family(folder, caplog, pace, **options)
    task = asyncio.create_task(family.parent.run())
    try:
        await family.until(lambda: family.announced or task.done())
        yield family
    finally:
        family.parent.stop()
        async with asyncio.timeout(PATIENCE):
            await task


async def test_each_wait_is_twice_as_long_up_to_a_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with running(tmp_path, caplog) as family:
        family.mode("crash")
        os.kill(family.pids()[0], signal.SIGKILL)
        await family.until(lambda: len(family.said("again in")) >= 4)
        waits = [record.args[1] for record in family.said("again in")][:4]  # type: ignore[index]
        assert waits == [0.01, 0.02, 0.04, 0.04]
        family.mode("fine")
        started = len(family.pids())
        await family.until(lambda: len(family.pids()) > started)
        await asyncio.sleep(0)
    # The other one was left alone.
    assert len(family.said("ended (killed by SIGKILL)")) == 1


async def test_one_that_ran_for_long_is_started_again_soon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    pace = Pace(start=PATIENCE, first_delay=0.01, longest_delay=60, steady=0, drain=PATIENCE)
    async with running(tmp_path, caplog, pace) as family:
        for number in (1, 2, 3):
            os.kill(family.pids()[-1], signal.SIGKILL)
            while len(family.pids()) < 2 + number:
                await asyncio.sleep(0.01)  # its start is its own affair
        waits = {record.args[1] for record in family.said("again in")}  # type: ignore[index]
        assert waits == {0.01}


async def test_one_that_cannot_even_start_is_the_end_of_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    family = Family(tmp_path, caplog, PACE)
    family.mode("crash")
    with pytest.raises(CannotStart, match=r"Worker 1 ended while it started \(exit code 3\)"):
        await family.parent.run()
    assert family.announced == 0


async def test_all_are_replaced_once_however_many_pass_it_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with running(tmp_path, caplog, mode="asks") as family:
        before = set(family.pids()[:2])
        await family.until(lambda: family.said("All workers were replaced"))
        family.parent.asked("1", 0)
        assert len(set(family.pids())) == 4
        assert len(family.said("Replacing")) == 1
        assert not before & family.alive()
    assert not family.said("ended")


async def test_a_program_that_is_away_for_a_while_ends_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """As while a new version is put in its place."""
    pace = Pace(start=PATIENCE, first_delay=0.05, drain=0.1)
    async with running(tmp_path, caplog, pace, mode="stays") as family:
        victim, survivor = sorted(family.alive())
        away = family.program.rename(tmp_path / "away")
        os.kill(victim, signal.SIGKILL)
        await family.until(lambda: len(family.said("cannot be started: No such file")) >= 2)
        family.parent.asked("a request", 0)
        assert survivor in family.alive()
        away.rename(family.program)
        await family.until(lambda: family.said("All workers were replaced"))
        await family.until(lambda: len(family.alive()) == 2)
        assert not {victim, survivor} & family.alive()


async def test_a_program_that_is_nowhere_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    family = Family(tmp_path, caplog, PACE)
    family.program.unlink()
    with pytest.raises(CannotStart, match="Worker 1 cannot be started: No such file"):
        await family.parent.run()


async def test_a_new_worker_that_crashes_need_not_wait_for_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Who comes meanwhile would find nobody at the port."""
    async with running(tmp_path, caplog, mode="stays", workers=1) as family:
        (old,) = family.alive()
        family.parent.asked("a request", 0)
        await family.until(lambda: len(family.alive()) == 2)
        place = family.parent._places[0]
        await family.until(lambda: place.worker is not None and place.worker.pid != old)
        assert place.worker is not None
        crashed = place.worker.pid
        os.kill(crashed, signal.SIGKILL)
        await family.until(lambda: len(family.alive() - {old, crashed}) == 1)
        assert old in family.alive()


async def test_one_that_does_not_become_ready_replaces_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    pace = Pace(start=1, first_delay=0.01, drain=PATIENCE)
    async with running(tmp_path, caplog, pace) as family:
        before = family.pids()
        family.mode("never ready")
        os.kill(os.getpid(), signal.SIGHUP)
        await family.until(lambda: family.said("the old ones stay"))
        for pid in before:
            os.kill(pid, 0)  # they live
        family.mode("fine")
        os.kill(os.getpid(), signal.SIGHUP)
        await family.until(lambda: family.said("All workers were replaced"))


async def test_one_that_does_not_listen_to_reason_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    family = Family(tmp_path, caplog, Pace(start=PATIENCE, drain=0.05))
    family.mode("deaf")
    task = asyncio.create_task(family.parent.run())
    await family.until(lambda: family.announced)
    family.parent.stop()
    async with asyncio.timeout(PATIENCE):
        await task
    assert len(family.said("killing it")) == 2


async def test_a_second_signal_waits_for_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    family = Family(tmp_path, caplog, Pace(start=PATIENCE, drain=3600, hurry=0.05))
    family.mode("deaf")
    task = asyncio.create_task(family.parent.run())
    await family.until(lambda: family.announced)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        await task


async def test_told_to_stop_while_they_start_it_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    family = Family(tmp_path, caplog, PACE)
    task = asyncio.create_task(family.parent.run())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await task
    assert family.announced == 0
