"""The ``local`` backplane: at home in a process that holds sockets, a mistake elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import join
from tests.processes.sites import dispatch, expect

DISPATCH = "from tests.liveapp.events import Happened; Happened('news', 1).dispatch()"


@pytest.mark.parametrize("view", ["dispatch", "adispatch"])
async def test_a_view_reaches_the_sockets_of_its_own_process(
    server: live.Server, channel: str, view: str
):
    """A sync view runs in a thread of the pool, an async one on the loop of the sockets."""
    async with join(server) as peer:
        await peer.subscribe(channel)
        await dispatch(server, channel, 1, rollback=True)
        await dispatch(server, channel, 2, view=view)
        await expect(peer, channel, 2)


def test_the_shell_is_told_both_cures(live_database: Path):
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    done = live.run(env, "-m", "django", "shell", "-c", DISPATCH)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "NoServerHere" in last
    assert "'channel_layer'" in last
    assert "broadcaster 'pusher'" in last


def test_where_failures_are_rescued_the_shell_goes_on_and_says_it_once(live_database: Path):
    env = {"BROADCASTING_TEST_DATABASE": str(live_database), "BROADCAST_RESCUE": "1"}
    code = "; ".join([DISPATCH] * 3 + ["print('went on')"])
    done = live.run(env, "-m", "django", "shell", "-c", code)
    assert (done.returncode, done.stdout.strip().splitlines()[-1]) == (0, "went on")
    assert done.stderr.count("NoServerHere") == 1
    assert "'channel_layer'" in done.stderr
    assert "Traceback" not in done.stderr


async def test_django_tasks_that_run_at_once_need_no_worker(live_database: Path, channel: str):
    """``QUEUE`` is ``tasks`` with the backend that Django (or django-tasks) has by default."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database), "BROADCAST_QUEUE": "tasks"}
    with live.serving("uvicorn", env) as server:
        async with join(server) as peer:
            await peer.subscribe(channel)
            await dispatch(server, channel, 1, rollback=True)
            await dispatch(server, channel, 2)
            await dispatch(server, channel, 3, view="adispatch")
            await expect(peer, channel, 2, 3)
