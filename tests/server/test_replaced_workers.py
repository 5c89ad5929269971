"""The parent of several workers, with workers that serve nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broadcasting.server.listening import on_shared_port
from broadcasting.server.supervisor import CannotStart, Pace, Supervisor

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no workers")

WORKER = """\
import json, os, socket
line = socket.socket(fileno=json.loads(os.environ["BROADCASTING_WORKER"])["line"])
line.sendall(b"listens\\nready\\n")
for word in line.makefile():
    if word.strip() in ("stop", "now"):
        break
"""
"""It says that it is ready, and goes on for as long as it may when it is replaced."""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "worker"
    path.write_text(f"#!{sys.executable} -IS\n{WORKER}")
    path.chmod(0o755)
    return path


@contextlib.asynccontextmanager
async def supervised(
    program: Path, *, workers: int = 1, drain: float = 20
) -> AsyncIterator[Supervisor]:
    announced = asyncio.Event()
    listenings = on_shared_port("127.0.0.1", 0, workers)
    pace = Pace(start=20, first_delay=0.05, drain=drain)
    supervisor = Supervisor([str(program)], listenings, announced.set, pace)
    running = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(20):
            await asyncio.wait(
                {running, asyncio.create_task(announced.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            yield supervisor
    finally:
        supervisor.stop()
        await running


def pids(supervisor: Supervisor) -> set[int]:
    return {worker.pid for worker in supervisor._workers}


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def test_a_program_that_is_away_for_a_while_ends_nobody(
    program: Path, caplog: pytest.LogCaptureFixture
):
    """As while a new version is put in its place."""
    away = program.with_name("away")
    async with supervised(program, workers=2, drain=0.1) as supervisor:
        victim, survivor = sorted(pids(supervisor))
        program.rename(away)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: caplog.text.count("cannot be started: No such file") >= 2)
        supervisor.asked("a request", 0)
        assert survivor in pids(supervisor)
        away.rename(program)
        await until(lambda: "All workers were replaced" in caplog.text)
        await until(lambda: len(pids(supervisor)) == 2)
        assert not {victim, survivor} & pids(supervisor)


async def test_a_program_that_is_nowhere_is_told(tmp_path: Path):
    with pytest.raises(CannotStart, match="Worker 1 cannot be started: No such file"):
        async with supervised(tmp_path / "nowhere"):
            pass


async def test_a_new_worker_that_crashes_need_not_wait_for_the_old_one(program: Path):
    """Who comes meanwhile would find nobody at the port."""
    async with supervised(program) as supervisor:
        (old,) = pids(supervisor)
        supervisor.asked("a request", 0)
        await until(lambda: len(pids(supervisor)) == 2)
        place = supervisor._places[0]
        await until(lambda: place.worker is not None and place.worker.pid != old)
        assert place.worker is not None
        crashed = place.worker.pid
        os.kill(crashed, signal.SIGKILL)
        await until(lambda: len(pids(supervisor) - {old, crashed}) == 1)
        assert old in pids(supervisor)
