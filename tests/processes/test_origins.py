"""Wherever a program dispatches from, the event arrives, and a rolled-back one never does.

Each origin is a process of its own that ends right after; ``announce`` dispatches 1 in a
transaction that is rolled back and then 2 in one that commits.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.processes.conftest import Env
from tests.processes.sites import expect

SETUP = "import sys, django; django.setup()\nfrom tests.liveapp.events import Happened, announce\n"

ORIGINS = {
    "shell": [
        *("-m", "django", "shell", "-c"),
        "from tests.liveapp.events import announce; announce({channel!r})",
    ],
    "management command": ["-m", "django", "announce", "{channel}"],
    "thread of a script": [
        "-c",
        SETUP + "import threading\n"
        "thread = threading.Thread(target=announce, args=[{channel!r}])\n"
        "thread.start(); thread.join()",
    ],
    "celery task": [
        "-c",
        "import django; django.setup()\n"
        "from tests.liveapp.tasks import announce; announce.delay({channel!r})",
    ],
    # It may not block the loop, so it goes through a thread that is waited for at exit.
    "running loop of a script": [
        "-c",
        SETUP + "import asyncio\n"
        "async def main(): Happened({channel!r}, 2).dispatch()\n"
        "asyncio.run(main())",
    ],
    "running loop of a script, awaited": [
        "-c",
        SETUP + "import asyncio\n"
        "async def main(): await Happened({channel!r}, 2).adispatch()\n"
        "asyncio.run(main())",
    ],
}


@pytest.mark.parametrize(
    ("origin", "queue"),
    [
        *((origin, "celery") for origin in ORIGINS),
        # The others are no different without a queue.
        *((origin, "sync") for origin in ORIGINS if "script" in origin),
    ],
)
async def test_an_event_from_anywhere_arrives(
    origin: str, queue: str, crossing: Env, worker: Path, on_uvicorn: live.Server, channel: str
):
    arguments = [part.format(channel=channel) for part in ORIGINS[origin]]
    async with join(on_uvicorn) as peer:
        await peer.subscribe(channel)
        done = await asyncio.to_thread(live.run, crossing | {"BROADCAST_QUEUE": queue}, *arguments)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        await expect(peer, channel, 2)
        await peer.silence()


@pytest.mark.parametrize("queue", ["celery", "sync"])
async def test_a_fork_of_a_process_that_has_published_publishes_too(
    queue: str, crossing: Env, worker: Path, on_uvicorn: live.Server, channel: str
):
    """As servers do that load the site and fork then; threads and sockets do not come along."""
    code = f"""{SETUP}
import os
Happened({channel!r}, 1).dispatch()
if os.fork() == 0:
    Happened({channel!r}, 2).dispatch()
    os._exit(0)
os.wait()
Happened({channel!r}, 3).dispatch()
"""
    async with join(on_uvicorn) as peer:
        await peer.subscribe(channel)
        env = crossing | {"BROADCAST_QUEUE": queue}
        done = await asyncio.to_thread(live.run, env, "-c", code)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        await expect(peer, channel, 1, 2, 3)
