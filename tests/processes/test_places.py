"""What several workers listen on: parts of a port, a socket that was handed to them, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests import live
from tests.conformance.peer import OPTIONS
from tests.conformance.publishing import publish
from tests.processes.conftest import Env
from tests.processes.test_draining import end_of, running, sent_away, terminate
from tests.processes.test_server_workers import children, crowd, sockets_of, until
from tests.server.certificates import make, trusting
from tests.server.command import SERVE

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

LONG = 4.0
"""Seconds of a wait in which a crowd can come."""


def waits(server: live.Server) -> list[float]:
    """Seconds that workers were to wait before they were started again, so far."""
    again = re.findall(r"Starting worker \d again in ([0-9.]+) s", server.log.read_text())
    return [float(seconds) for seconds in again]


async def test_the_port_is_the_others_while_one_waits_for_long(several: Env) -> None:
    """Else the system would give it every second connection, and nobody would take them."""
    with running(several, "--workers", "2") as parent:
        stays = max(children(parent))
        while max(waits(parent), default=0) < LONG:
            await until(lambda: len(children(parent)) == 2)
            (victim,) = children(parent) - {stays}
            before = len(waits(parent))
            os.kill(victim, signal.SIGKILL)
            await until(lambda then=before: len(waits(parent)) > then)  # type: ignore[misc]
        async with crowd(parent, 24) as peers:
            assert children(parent) == {stays}
            assert sockets_of(stays, parent.port) == len(peers)
        await until(lambda: len(children(parent)) == 2)
        (again,) = children(parent) - {stays}
        is_shared = False
        while not is_shared:  # it has its part of the port from when it listens
            async with crowd(parent, 8):
                is_shared = sockets_of(again, parent.port) > 0


@contextlib.contextmanager
def handed(env: Env, log: Path, *options: str) -> Iterator[live.Server]:
    """A parent whose socket is somebody else's, as systemd's are."""
    with socket.create_server(("127.0.0.1", 0)) as hand:
        os.set_inheritable(hand.fileno(), True)
        command = [*SERVE, "--workers", "2", "--fd", str(hand.fileno()), *options]
        process = live.spawn(command, env, log, close_fds=False)
        try:
            live.wait_for_line(log, "Stop with Control-C.", process)
            yield live.Server("uvicorn", hand.getsockname()[1], env, process, log)
        finally:
            live.stop(process, signal.SIGKILL)


async def test_a_socket_that_was_handed_outlives_its_workers(several: Env, tmp_path: Path) -> None:
    with handed(several, tmp_path / "log") as parent:
        async with crowd(parent, 12) as peers:
            workers = children(parent)
            assert sum(sockets_of(pid, parent.port) for pid in workers) == len(peers)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        # Whoever comes waits for those who are started again.
        async with crowd(parent, 12) as peers:
            assert not workers & children(parent)
            for peer in peers:
                await peer.subscribe("news")
            await publish(parent, "news", "Shipped")
            for peer in peers:
                assert await peer.expect("Shipped", "news") == "{}"
            terminate(parent)
            await asyncio.gather(*map(sent_away, peers))
        assert await end_of(parent) == 0


async def test_workers_serve_tls(several: Env, tmp_path: Path) -> None:
    made = make(tmp_path / "tls")
    files = ("--certfile", str(made.certificate), "--keyfile", str(made.key))
    with running(several, "--workers", "2", *files) as parent:
        assert f"https://127.0.0.1:{parent.port}, held by 2 workers" in parent.log.read_text()
        url = f"wss://127.0.0.1:{parent.port}/app/tls-key?protocol=7"
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(connect(url, **OPTIONS, ssl=trusting(made)))
                for _ in range(16)
            ]
            for peer in sockets:
                assert json.loads(await peer.recv())["event"] == "pusher:connection_established"
            held = [sockets_of(pid, parent.port) for pid in children(parent)]
            assert min(held) > 0
            assert sum(held) == len(sockets)
            terminate(parent)
            for peer in sockets:
                assert json.loads(await peer.recv())["data"]["code"] == 4200
                await peer.wait_closed()
                assert peer.close_code == 4200
        assert await end_of(parent) == 0
