"""A process that may open few files: what it says, and what it does when they are all in use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import resource
import socket
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from broadcasting.server.limits import Door, capacity
from tests import live
from tests.conformance.bare import HANDSHAKE
from tests.server.certificates import Certificate, trusting
from tests.server.command import serving
from tests.server.test_http import signed

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
URL = "127.0.0.1:{}/app/app-key?protocol=7"
EVENT = b'{"name":"Shipped","channel":"c","data":"{}"}'


def knock(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), live.PATIENCE)
    with contextlib.suppress(OSError):  # it may have been turned away already
        peer.sendall(HANDSHAKE)
    return peer


def is_let_in(peer: socket.socket) -> bool:
    try:
        return peer.recv(1_000).startswith(b"HTTP/1.1 101 ")
    except ConnectionResetError:
        return False


def until_let_in(port: int) -> None:
    """Return once a new socket is served: those that went may not have been noticed yet."""
    deadline = time.monotonic() + live.PATIENCE
    while time.monotonic() < deadline:
        with knock(port) as peer:
            if is_let_in(peer):
                return
        time.sleep(0.05)  # another process's files
    raise AssertionError("nobody is let in any more")


@LOOPS
def test_who_does_not_fit_is_turned_away_and_room_is_used_again(folder: Path, loop: str):
    port, log = live.free_port(), folder / "log"
    with serving(log, "--port", port, loop=loop, files=80), contextlib.ExitStack() as open_ones:
        said = re.search(r"holds up to (\d+) sockets: this process may open 80 f", log.read_text())
        assert said is not None
        assert "That is few: `ulimit -n 65536`" in log.read_text()
        peers = [open_ones.enter_context(knock(port)) for _ in range(int(said[1]) + 30)]
        assert sum(map(is_let_in, peers)) == int(said[1])
        open_ones.close()
        until_let_in(port)
        assert log.read_text().count("Turned away") == 1
        assert "Traceback" not in log.read_text()


@LOOPS
async def test_with_no_file_left_those_who_are_in_are_served(
    folder: Path, certificate: Certificate, loop: str
):
    """Who has not encrypted anything yet is no connection that could be counted."""
    port, log, context = live.free_port(), folder / "log", trusting(certificate)
    url = f"wss://{URL.format(port)}"
    files = ["--certfile", certificate.both]
    with (
        serving(log, "--port", port, *files, loop=loop, files=80),
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as api,
        contextlib.ExitStack() as open_ones,
    ):
        async with connect(url, ssl=context) as client, asyncio.timeout(live.PATIENCE):
            await client.recv()
            await client.send('{"event":"pusher:subscribe","data":{"channel":"c"}}')
            await client.recv()
            for _ in range(120):
                open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            await asyncio.to_thread(live.wait_for_line, log, "Cannot take connections now")
            with api.makefile("rb") as answer:
                api.sendall(signed(EVENT, app_id="1"))
                assert b" 200 " in answer.readline()
            assert '"event":"Shipped"' in str(await client.recv())
            open_ones.close()
            await until_let_in_again(url, certificate)
        assert log.read_text().count("Cannot take") == 1
        assert "Traceback" not in log.read_text()
        assert "out of system resource" not in log.read_text()


async def until_let_in_again(url: str, certificate: Certificate) -> None:
    async with asyncio.timeout(live.PATIENCE):
        while True:
            with contextlib.suppress(OSError, WebSocketException):
                async with connect(url, ssl=trusting(certificate)) as client:
                    assert "connection_established" in str(await client.recv())
                    return
            await asyncio.sleep(0.05)  # another process's files


def test_a_soft_limit_is_raised_to_the_hard_one(folder: Path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("the hard limit is none")
    with serving(folder / "log", "--port", 0, soft_files=256):
        assert f"may open {hard:,} files" in (folder / "log").read_text()


def test_what_fits_leaves_files_for_others():
    assert capacity(None) is None
    fits = capacity(100_000)
    assert fits is not None
    assert 99_000 < fits <= 99_900
    assert capacity(10) == 1


def test_the_log_is_told_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    door = Door(2)
    with caplog.at_level(logging.WARNING, logger="broadcasting.server"):
        assert [door.admits(number) for number in (1, 2, 3, 4, 5)] == [True, True] + [False] * 3
        door.report()
        now += 61
        door.report()
        now += 61
        door.report()
    assert [message.split(":")[0] for message in caplog.messages] == [
        "Turned away 1 more than the 2 connections that fit",
        "Turned away 2 more than the 2 connections that fit",
    ]


def test_without_a_limit_everybody_fits():
    assert Door().admits(10_000_000)
