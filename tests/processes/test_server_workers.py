"""``websockets_serve --workers``: several processes at one port, and the parent that keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import Peer, dial, join
from tests.conformance.publishing import publish
from tests.processes.conftest import Env
from tests.server.command import refused

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WORKERS = 2


def start(env: Env, *options: str) -> live.Server:
    """A parent whose workers serve."""
    server = live.Server("uvicorn", live.free_port(), env, options=options)
    server.start()
    live.wait_for_line(server.log, "Stop with Control-C.", server.process)
    return server


@pytest.fixture
def parent(several: Env) -> Iterator[live.Server]:
    server = start(several, "--workers", str(WORKERS))
    try:
        yield server
    finally:
        server.stop()
        server.log.unlink()


def children(server: live.Server) -> set[int]:
    """The process ids of the workers that live."""
    assert server.process is not None
    pid = server.process.pid
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def until(condition: Callable[[], bool]) -> None:
    """Return once ``condition`` holds, which is another process's affair."""
    async with asyncio.timeout(live.PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)


def sockets_of(pid: int, port: int) -> int:
    """How many established connections of ``port`` a process holds."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(entry))
    local = f":{port:04X}"
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(
        row[1].endswith(local) and row[3] == "01" and f"socket:[{row[9]}]" in inodes for row in rows
    )


async def is_let_in(server: live.Server) -> bool:
    """Whether a newcomer was greeted; otherwise it was told to return at once, as 4200 says."""
    async with dial(server) as peer:
        said = await peer.receive()
        if said["event"] == "pusher:connection_established":
            return True
        assert said["data"]["code"] == 4200, said
        assert (await peer.closed())[0] == 4200
        return False


@contextlib.asynccontextmanager
async def crowd(server: live.Server, size: int) -> AsyncIterator[list[Peer]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(join(server)) for _ in range(size)]


async def test_workers_share_the_port_and_what_they_are_told(parent: live.Server):
    assert "held by 2 workers" in parent.log.read_text()
    async with crowd(parent, 24) as peers:
        held = {pid: sockets_of(pid, parent.port) for pid in children(parent)}
        assert sum(held.values()) == len(peers)
        assert min(held.values()) > 0, held
        for peer in peers:
            await peer.subscribe("news")
        await publish(parent, "news", "Shipped")
        for peer in peers:
            assert await peer.expect("Shipped", "news") == "{}"


@pytest.mark.full
async def test_one_that_crashes_is_started_again_and_the_others_go_on(parent: live.Server):
    async with crowd(parent, 24) as peers:
        before = children(parent)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(children(parent) - {victim}) == WORKERS)
        live.wait_for_line(parent.log, "killed by SIGKILL", parent.process)
        survivors = [peer for peer in peers if not await is_cut(peer)]
        assert 0 < len(survivors) < len(peers)
        for peer in survivors:
            await peer.silence()
        async with join(parent) as newcomer:
            await newcomer.silence()


async def is_cut(peer: Peer) -> bool:
    await asyncio.sleep(0)
    if peer.socket.close_code is None:
        with contextlib.suppress(Exception):
            await peer.silence()
    return peer.socket.close_code is not None


async def ended_well(peer: Peer) -> None:
    problem = await peer.expect_refusal(None, 4200)
    assert await peer.closed() == (4200, problem["message"])


@pytest.mark.full
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_the_parent_drains_all_of_them(parent: live.Server, sig: signal.Signals):
    async with crowd(parent, 12) as peers:
        assert parent.process is not None
        parent.process.send_signal(sig)
        await asyncio.gather(*map(ended_well, peers))
        assert await asyncio.to_thread(parent.process.wait, live.PATIENCE) == 0
    assert "Traceback" not in parent.log.read_text()


@pytest.mark.full
async def test_workers_end_with_their_parent(parent: live.Server):
    workers = children(parent)
    async with crowd(parent, 6) as peers:
        assert parent.process is not None
        parent.process.kill()
        await asyncio.gather(*map(ended_well, peers))
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.full
async def test_a_second_signal_waits_for_nobody(several: Env):
    parent = start(several | {"LIVE_DRAIN_DELAY": "60"}, "--workers", "2")
    async with crowd(parent, 6) as peers:
        assert parent.process is not None
        parent.process.terminate()
        live.wait_for_port(parent.port, parent.process, parent.log)  # which goes on
        for peer in peers:
            await peer.silence()
        parent.process.terminate()
        await asyncio.gather(*map(ended_well, peers))
        assert await asyncio.to_thread(parent.process.wait, live.PATIENCE) == 0


@pytest.mark.full
async def test_sighup_replaces_them_one_by_one_and_everybody_is_let_in(parent: live.Server):
    """Whoever asks at a worker that has just begun to leave is sent to the next one."""
    before = children(parent)
    done = asyncio.Event()

    async def keep_coming() -> int:
        came = 0
        while not done.is_set():
            if not await is_let_in(parent):
                assert await is_let_in(parent)
            came += 1
        return came

    async with crowd(parent, 12) as peers, asyncio.TaskGroup() as group:
        coming = group.create_task(keep_coming())
        assert parent.process is not None
        parent.process.send_signal(signal.SIGHUP)
        await asyncio.gather(*map(ended_well, peers))
        await until(lambda: "All workers were replaced" in parent.log.read_text())
        done.set()
    assert coming.result() > 0
    assert not before & children(parent)
    assert len(children(parent)) == WORKERS


@pytest.mark.full
async def test_a_socket_that_was_handed_or_made_is_shared(several: Env, tmp_path: Path):
    path = tmp_path / "s.sock"
    log = tmp_path / "log"
    command = [sys.executable, "-m", "django", "websockets_serve", "--workers", "2"]
    process = live.spawn([*command, "--uds", str(path)], several, log)
    try:
        live.wait_for_line(log, "Stop with Control-C.", process)
        from websockets.asyncio.client import unix_connect

        url = "ws://localhost/app/app-key?protocol=7"
        async with unix_connect(str(path), url) as client:
            assert "connection_established" in str(await client.recv())
    finally:
        assert live.stop(process) == 0
    assert not path.exists()


@pytest.mark.full
async def test_a_path_is_there_until_the_last_worker_has_drained(several: Env, tmp_path: Path):
    """A load balancer asks there whether it should send anybody, and sends them until it knows."""
    from websockets.asyncio.client import unix_connect

    path, log = tmp_path / "s.sock", tmp_path / "log"
    command = [sys.executable, "-m", "django", "websockets_serve", "--workers", "2"]
    env = several | {"LIVE_DRAIN_DELAY": "3600"}
    process = live.spawn([*command, "--uds", str(path)], env, log)
    try:
        live.wait_for_line(log, "Stop with Control-C.", process)
        process.terminate()
        while "503" not in await status_of_ready(path):
            await asyncio.sleep(0.02)  # until a worker has heard of it
        async with unix_connect(str(path), "ws://localhost/app/app-key?protocol=7") as client:
            assert "connection_established" in str(await client.recv())
        process.terminate()  # nobody has time for that
        assert await asyncio.to_thread(process.wait, live.PATIENCE) == 0
    finally:
        live.stop(process, signal.SIGKILL)
    assert not path.exists()


async def status_of_ready(path: Path) -> str:
    """The first line of the answer to /ready."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    line = (await reader.readline()).decode()
    writer.close()
    return line


def test_without_a_backplane_that_crosses_nothing_is_bound():
    said = refused("--workers", 2, "--port", live.free_port())
    assert said.startswith("(broadcasting.E050) Several workers need a backplane that crosses")
    assert "HINT" in said


def test_there_must_be_one():
    assert refused("--workers", 0) == "There must be a worker: give --workers a number above 0."


@pytest.mark.full
def test_what_keeps_workers_from_starting_ends_the_parent(several: Env):
    env = several | {"LIVE_ASGI_APPLICATION": "tests.nowhere.application"}
    port = str(live.free_port())
    done = live.run(env, "-m", "django", "websockets_serve", "--workers", "2", "--port", port)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == (
        "CommandError: Worker 1 ended while it started (exit code 1): what it printed above says"
        " why."
    )
    assert "tests.nowhere" in done.stderr


@pytest.mark.full
def test_a_taken_port_is_said_before_anything_starts(several: Env):
    with socket.socket() as taken:
        # As another server with workers would have it.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = live.run(several, "-m", "django", "websockets_serve", "--workers=2", "--port", port)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr.splitlines()[-1]
