"""``websockets_serve`` as a process: alone, with the site, and told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pusher
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests import live
from tests.server.test_http import request, signed
from tests.server.test_slow_readers import HANDSHAKE, talking

BARE = {"DJANGO_SETTINGS_MODULE": "tests.server.bare_settings"}
GREETING = "pusher:connection_established"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - loopback
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_holds_sockets_and_takes_events_without_a_database_or_a_site():
    with live.serving("uvicorn", BARE) as server:
        with connect(server.socket_url) as client:
            assert GREETING in str(client.recv(10))
            client.send('{"event":"pusher:subscribe","data":{"channel":"c"}}')
            client.recv(10)
            library = pusher.Pusher(
                "1", "app-key", "app-secret", host="127.0.0.1", port=server.port, ssl=False
            )
            library.trigger("c", "Shipped", {"id": 1})
            assert '"event":"Shipped"' in str(client.recv(10))
        assert get(server.url)[0] == 404


def test_it_can_live_under_a_path():
    with live.serving("uvicorn", BARE | {"BARE_PATH": "/realtime"}) as server:
        with connect(server.socket_url.replace("/app/", "/realtime/app/")) as client:
            assert GREETING in str(client.recv(10))
        with pytest.raises(Exception, match="404"), connect(server.socket_url):
            pass
        library = pusher.Pusher(
            "1", "app-key", "app-secret", host="127.0.0.1", port=server.port, ssl=False
        )
        with pytest.raises(pusher.errors.PusherBadStatus, match="404"):
            library.trigger("c", "Shipped", {"id": 1})


def test_it_serves_the_site_and_under_debug_its_static_files(live_database: Path):
    env = {"BROADCASTING_TEST_DATABASE": str(live_database), "LIVE_DEBUG": "1"}
    with live.serving("uvicorn", env) as server:
        assert get(server.url) == (200, "ready")
        assert get(f"{server.url}/static/broadcasting/broadcasting.js")[0] == 200


@pytest.mark.parametrize("kind", ["guard", "proxy", "own"])
def test_what_the_project_puts_around_sees_everything(kind: str):
    """The site, the API (which is answered quickly where nothing stands before it), sockets."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.server.guarded_settings", "GUARD": kind}
    with live.serving("uvicorn", env) as server:
        for message in (request("/"), signed(), request("/apps/1/channels")):
            with socket.create_connection(("127.0.0.1", server.port), live.PATIENCE) as peer:
                peer.sendall(message)
                with peer.makefile("rb") as answer:
                    assert b" 403 " in answer.readline()
        with pytest.raises(Exception, match="403"), connect(server.socket_url):
            pass


def test_sigterm_sends_the_sockets_away_to_return_and_exits_with_0():
    server = live.Server("uvicorn", live.free_port(), BARE)
    server.start()
    try:
        with connect(server.socket_url) as client:
            client.recv(10)
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            assert '"code":4200' in str(client.recv(10))
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4200
        assert server.process.wait(live.PATIENCE) == 0
    finally:
        server.stop(signal.SIGKILL)


def test_a_taken_port_is_an_error_not_a_silence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "django", "websockets_serve", "--port", str(port)],
            cwd=live.ROOT,
            env={**os.environ, "PYTHONPATH": str(live.ROOT), **BARE},
            capture_output=True,
            text=True,
            timeout=live.PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"CommandError: Cannot listen on 127.0.0.1:{port}: Address already in use."
        " Stop what listens there, or choose another --port."
    )
    assert "are on http" not in done.stdout


def test_sigterm_while_it_starts_is_heard():
    code = """
import os, signal
import django; django.setup()
from django.core.management import call_command
from broadcasting.server import serve

run = serve.SocketServer.run

def interrupted(self, *args):
    os.kill(os.getpid(), signal.SIGTERM)  # before uvicorn listens to signals itself
    return run(self, *args)

serve.SocketServer.run = interrupted
call_command("websockets_serve", port=PORT)
print("ended well")
""".replace("PORT", str(live.free_port()))
    done = live.run(BARE, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "ended well" in done.stdout


async def test_peers_and_requests_that_do_not_end_share_one_deadline(live_database: Path):
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving("uvicorn", env) as server:
        loop = asyncio.get_running_loop()
        # A request whose body never ends, and a socket that answers no close.
        unfinished = signed()[:-1]
        with await talking(server.port, unfinished), await talking(server.port, HANDSHAKE) as peer:
            assert b"101" in await loop.sock_recv(peer, 4_096)
            began = loop.time()
            assert await asyncio.to_thread(server.stop) == 0
        # DRAIN_SECONDS is 2 there.
        assert loop.time() - began < 3.5
