"""Servers that are told to stop, or to restart, while sockets and events come and go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import live
from tests.conformance.peer import Peer, dial, join
from tests.conformance.publishing import publish
from tests.processes.conftest import Env
from tests.processes.test_server_workers import children, crowd, start, until
from tests.server.command import SERVE


@contextlib.contextmanager
def running(env: Env, *options: str) -> Iterator[live.Server]:
    server = start(env, *options)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)
        server.log.unlink()


async def ready(server: live.Server) -> tuple[int, Any]:
    """What /ready says."""
    return await asyncio.to_thread(_get, f"{server.url}/ready")


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=live.PATIENCE) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def terminate(server: live.Server) -> None:
    assert server.process is not None
    server.process.terminate()


async def end_of(server: live.Server) -> int:
    assert server.process is not None
    return await asyncio.to_thread(server.process.wait, live.PATIENCE)


async def sent_away(peer: Peer) -> None:
    """Read until the server says goodbye, whatever else it says before."""
    while (message := await peer.receive())["event"] != "pusher:error":
        pass
    assert message["data"]["code"] == 4200
    assert (await peer.closed())[0] == 4200


async def test_a_server_that_drains_is_not_ready_and_takes_nobody(one: Env):
    """21, 238: sockets go in turns, members with them; whoever comes is told 4200."""
    with running(one | {"LIVE_DRAIN_RATE": "2", "LIVE_DRAIN_SECONDS": "20"}) as server:
        assert (await ready(server))[0] == 200
        async with crowd(server, 4) as peers:
            for number, peer in enumerate(peers):
                await peer.enter("presence-room", str(number))
            terminate(server)
            first = asyncio.gather(*map(sent_away, peers))
            while (await ready(server))[0] == 200:
                await asyncio.sleep(0.02)  # until the signal was seen
            assert (await ready(server))[1]["problems"] == ["draining"]
            async with dial(server) as newcomer:
                problem = await newcomer.expect_refusal(None, 4200)
                assert await newcomer.closed() == (4200, problem["message"])
            await first
        assert await end_of(server) == 0


async def test_members_leave_one_after_the_other(one: Env):
    """238: who is still here is told of each that went."""
    with running(one | {"LIVE_DRAIN_RATE": "4", "LIVE_DRAIN_SECONDS": "20"}) as server:
        async with crowd(server, 4) as peers:
            for number, peer in enumerate(peers):
                await peer.enter("presence-room", str(number))
            terminate(server)
            departures = await asyncio.gather(*map(departures_seen, peers))
        assert await end_of(server) == 0
    # The last one saw all others go.
    assert max(departures) == 3


async def departures_seen(peer: Peer) -> int:
    seen = 0
    while (message := await peer.receive())["event"] != "pusher:error":
        seen += message["event"] == "pusher_internal:member_removed"
    await peer.closed()
    return seen


@pytest.mark.full
async def test_before_it_drains_it_serves_for_a_while_and_says_so(one: Env):
    with running(one | {"LIVE_DRAIN_DELAY": "3600"}) as server:
        async with join(server) as peer:
            terminate(server)
            while (await ready(server))[0] == 200:
                await asyncio.sleep(0.02)  # until the signal was seen
            async with join(server) as newcomer:
                await newcomer.subscribe("news")
                await publish(server, "news", "Shipped")
                assert await newcomer.expect("Shipped", "news") == "{}"
                terminate(server)  # nobody has time for that
                await asyncio.gather(sent_away(peer), sent_away(newcomer))
        assert await end_of(server) == 0


@pytest.mark.full
async def test_a_second_signal_in_the_middle_of_it_sends_all_away_at_once(one: Env):
    with running(one | {"LIVE_DRAIN_RATE": "1", "LIVE_DRAIN_SECONDS": "3600"}) as server:
        async with crowd(server, 5) as peers:
            terminate(server)
            while (await ready(server))[0] == 200:
                await asyncio.sleep(0.02)  # until the signal was seen
            assert server.process is not None
            server.process.send_signal(signal.SIGINT)
            await asyncio.gather(*map(sent_away, peers))
        assert await end_of(server) == 0
        assert "Traceback" not in server.log.read_text()


@pytest.mark.full
def test_one_is_restarted_through_its_own_port(one: Env):
    """239: with a backplane that reaches nobody else."""
    with running(one) as server:
        done = live.run(one, "-m", "django", "websockets_restart", "--url", server.url)
        assert done.returncode == 0, done.stderr
        assert "was told to restart" in done.stdout
        assert server.process is not None
        assert server.process.wait(live.PATIENCE) == 0
    again = live.run(one, "-m", "django", "websockets_restart", "--url", server.url)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1].startswith("CommandError: No server answers at")


@pytest.mark.full
async def test_all_of_a_deployment_are_restarted_at_one_word(several: Env):
    """239: a server by itself ends for its supervisor; a parent replaces each worker once."""
    with running(several) as single, running(several, "--workers", "2") as parent:
        before = children(parent)
        async with join(single) as here, join(parent) as there:
            told = asyncio.to_thread(live.run, several, "-m", "django", "websockets_restart")
            done, *_ = await asyncio.gather(told, sent_away(here), sent_away(there))
            assert done.returncode == 0, done.stderr
        assert await end_of(single) == 0
        await until(lambda: "All workers were replaced" in parent.log.read_text())
        assert not before & children(parent)
        assert parent.log.read_text().count("Replacing 2 workers") == 1


# -- a signal, and another one, before it serves -------------------------------------------------


@contextlib.contextmanager
def starting(env: Env, *options: str) -> Iterator[live.Server]:
    """One whose application does not come up, as soon as it waits for that."""
    stuck = env | {"LIVE_ASGI_APPLICATION": "tests.liveapp.never.application"}
    server = live.Server("uvicorn", live.free_port(), stuck)
    command = [*SERVE, "--port", str(server.port), *options]
    server.process = live.spawn(command, stuck, server.log)
    try:
        live.wait_for_line(server.log, "Starting without end", server.process)
        yield server
    finally:
        server.stop(signal.SIGKILL)
        server.log.unlink()


@pytest.mark.full
@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_one_that_does_not_come_up(one: Env, again: signal.Signals):
    with starting(one) as server:
        assert server.process is not None
        terminate(server)
        await asyncio.sleep(0.1)  # or the system makes one of two that are the same
        assert server.process.poll() is None  # it may still come up, and end in good order
        server.process.send_signal(again)
        assert await end_of(server) == -again
        assert "Traceback" not in server.log.read_text()


@pytest.mark.full
async def test_a_second_signal_ends_workers_that_do_not_come_up(several: Env):
    with starting(several, "--workers", "2") as parent:
        await until(lambda: parent.log.read_text().count("Starting without end") == 2)
        workers = children(parent)
        terminate(parent)
        await asyncio.sleep(0.1)  # or the system makes one of the two
        terminate(parent)
        assert await end_of(parent) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
        assert "Traceback" not in parent.log.read_text()
