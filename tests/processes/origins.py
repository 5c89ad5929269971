"""Where a test has every outcome played: a view of a site, a command, a Celery task."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests import live
from tests.processes.sites import ask

Report = list[dict[str, Any]]
"""The outcomes in their order; see tests/liveapp/outcomes.py."""

Play = Callable[[str, bool], Awaitable[Report]]
"""Play every outcome on this channel, rescued or not."""

SYNC_VIEWS = (
    "sync view",
    "signal receiver",
    "thread",
    "awaited below a sync view",
    "called below a sync view",
)
ASYNC_VIEWS = ("async view", "async task")
COMMAND = "management command"
TASK = "Celery task"
CONTEXTS = (*SYNC_VIEWS, *ASYNC_VIEWS, COMMAND)
"""Those that need no worker of their own."""


class Console:
    """A management command that stays, and plays when it is told to, one thing at a time."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._playing = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "django", "outcomes"],
            cwd=live.ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": live.SETTINGS,
                "PYTHONPATH": str(live.ROOT),
                **env,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def play(self, channel: str, rescue: bool) -> Report:
        return await asyncio.to_thread(self._play, channel, rescue)

    def _play(self, channel: str, rescue: bool) -> Report:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wish = json.dumps({"channel": channel, "rescue": rescue})
        # Of two threads that read one pipe, one may take both lines and the other wait for ever.
        with self._playing:
            print(wish, file=self._process.stdin, flush=True)
            ready, _, _ = select.select([self._process.stdout], [], [], live.PATIENCE)
            if not ready:
                raise TimeoutError(f"The command did not answer to {wish}.")
            report: Report = json.loads(self._process.stdout.readline())
        return report

    def close(self) -> None:
        """End it: there is no more input."""
        self._process.communicate(timeout=live.PATIENCE)


async def play_in_view(site: live.Server, context: str, channel: str, rescue: bool) -> Report:
    """Play in one of SYNC_VIEWS or ASYNC_VIEWS."""
    view = "sync-contexts" if context in SYNC_VIEWS else "async-contexts"
    answer = await ask(site, view, context=context, channel=channel, rescue=rescue)
    report: Report = answer["said"]
    return report


class Task:
    """A Celery task that was begun while there was a broker, and waits to play."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def begin(self, site: live.Server, channel: str, rescue: bool) -> None:
        """Have it delayed by ``site``; return once it runs."""
        folder = str(self._folder)
        await ask(site, "task-contexts", channel=channel, rescue=rescue, folder=folder)
        await self._await("here")

    async def play(self) -> Report:
        (self._folder / "go").touch()
        await self._await("said")
        report: Report = json.loads((self._folder / "said").read_text())
        return report

    async def _await(self, name: str) -> None:
        async with asyncio.timeout(live.PATIENCE):
            while not (self._folder / name).exists():
                await asyncio.sleep(0.02)  # another process's file
