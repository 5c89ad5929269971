"""Where ``websockets_serve`` listens: ports, unix sockets, sockets that it is handed, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed

from tests import live
from tests.server.certificates import PASSWORD, Certificate, make, trusting
from tests.server.command import BARE, SERVE, refused, serving
from tests.server.test_http import signed

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
PATH = "/app/app-key?protocol=7&client=test&version=1"
EVENT = b'{"name":"Shipped","channel":"c","data":"{}"}'


async def heard(client: ClientConnection) -> str:
    async with asyncio.timeout(live.PATIENCE):
        return str(await client.recv())


async def carry(client: ClientConnection, peer: socket.socket) -> None:
    """See a frame arrive that is published through ``peer``, a connection to the API."""
    assert "connection_established" in await heard(client)
    await client.send('{"event":"pusher:subscribe","data":{"channel":"c"}}')
    await heard(client)
    with peer, peer.makefile("rb") as answer:
        peer.sendall(signed(EVENT, app_id="1"))
        assert b" 200 " in answer.readline()
    assert '"event":"Shipped"' in await heard(client)


async def drain(client: ClientConnection, process: subprocess.Popen[bytes]) -> None:
    """See the server say goodbye and end well."""
    process.send_signal(signal.SIGTERM)
    assert '"code":4200' in await heard(client)
    with pytest.raises(ConnectionClosed) as closed:
        await heard(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4200
    assert process.wait(live.PATIENCE) == 0


def dial(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(os.fspath(path))
    return peer


# -- ports -----------------------------------------------------------------------------------


@LOOPS
async def test_a_port_that_is_free_is_named(folder: Path, loop: str):
    with serving(folder / "log", "--port", 0, loop=loop) as process:
        text = (folder / "log").read_text()
        port = int(text.partition("on http://127.0.0.1:")[2].split()[0])
        async with connect(f"ws://127.0.0.1:{port}{PATH}") as client:
            await carry(client, socket.create_connection(("127.0.0.1", port)))
            await drain(client, process)


async def test_a_name_stands_for_all_its_addresses(folder: Path):
    port = live.free_port()
    with serving(folder / "log", "--host", "localhost", "--port", port):
        assert f"on http://localhost:{port}" in (folder / "log").read_text()
        async with connect(f"ws://localhost:{port}{PATH}") as client:
            assert "connection_established" in await heard(client)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--port", "70000"), "Cannot listen on 127.0.0.1:70000: ports end at"),
        (("--host", "192.0.2.1"), "Cannot listen on 192.0.2.1:6001: Cannot assign requested"),
        (("--host", "no.such.invalid"), "Cannot listen on no.such.invalid:6001: "),
        (("--host", "no..name"), "Cannot listen on no..name:6001: "),
    ],
)
def test_an_address_that_is_not_ours(options: tuple[str, ...], problem: str):
    assert refused(*options).startswith(problem)


OVERTAKEN = """
import socket
import django; django.setup()
from django.core.management import CommandError, call_command
from broadcasting.server import listening

on_port = listening.on_port
others = []

def overtaken(host, port):
    ours = on_port(host, port)
    others.append(socket.create_server(ours.sockets[0].getsockname()))
    return ours

listening.on_port = overtaken
try:
    call_command("websockets_serve", port=0)
except CommandError as problem:
    print(problem)
"""


@LOOPS
def test_a_port_that_somebody_takes_in_the_last_moment(loop: str):
    done = live.run(BARE | {"BARE_LOOP": loop}, "-c", OVERTAKEN)
    assert done.stdout == "Cannot listen: Address already in use.\n", done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "options",
    [("--port", 1, "--uds", "x"), ("--host", "::1", "--fd", 3), ("--uds", "x", "--fd", 3)],
)
def test_one_place_is_enough(options: tuple[object, ...]):
    assert "listens in one place" in refused(*options)


# -- unix sockets ----------------------------------------------------------------------------


@LOOPS
async def test_a_unix_socket_serves_everything_and_is_gone_afterwards(folder: Path, loop: str):
    path = folder / "s"
    with serving(folder / "log", "--uds", path, loop=loop) as process:
        assert f"are on the unix socket {path}\n" in (folder / "log").read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        async with unix_connect(os.fspath(path), uri=f"ws://localhost{PATH}") as client:
            await carry(client, dial(path))
            await drain(client, process)
    assert not path.exists()
    assert "Traceback" not in (folder / "log").read_text()


def test_what_a_killed_server_left_is_replaced(folder: Path):
    path = folder / "s"
    with serving(folder / "log", "--uds", path) as process:
        path.chmod(0o660)
        process.kill()
        process.wait(live.PATIENCE)
    assert path.exists()
    with serving(folder / "again", "--uds", path), dial(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_socket_that_another_server_made_meanwhile_stays(folder: Path):
    path = folder / "s"
    with serving(folder / "log", "--uds", path) as process:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(path))
            assert live.stop(process) == 0
            assert path.exists()


def test_a_path_where_somebody_listens_is_taken(folder: Path):
    path = folder / "s"
    with serving(folder / "log", "--uds", path):
        expected = f"Cannot listen on {path}: another process listens there."
        assert refused("--uds", path) == expected
        # As it is said to whoever typed it.
        done = live.run(BARE, *SERVE[1:], "--uds", os.fspath(path))
        assert done.stderr.endswith(f"\nCommandError: {expected}\n")
        assert "Traceback" not in done.stderr
        assert (done.returncode, done.stdout) == (1, "")
        with dial(path):
            pass


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 120, "AF_UNIX path too long"),
        ("none/s", "No such file or directory"),
        ("file", "something that is no socket is there"),
        ("", "Is a directory|something that is no socket is there"),
    ],
)
def test_a_path_that_cannot_be(folder: Path, name: str, why: str):
    (folder / "file").touch()
    path = folder / name
    assert any(refused("--uds", path).endswith(f"on {path}: {each}.") for each in why.split("|"))
    assert (folder / "file").exists()


async def test_a_proxy_at_a_unix_socket_says_who_came_over_tls(folder: Path):
    path = folder / "s"
    uri = "ws://localhost/app/tls-key?protocol=7"
    with serving(folder / "log", "--uds", path):
        async with unix_connect(os.fspath(path), uri=uri) as client:
            assert '"code":4000' in await heard(client)
        proxied = {"X-Forwarded-Proto": "wss", "X-Forwarded-For": "192.0.2.7"}
        async with unix_connect(os.fspath(path), uri=uri, additional_headers=proxied) as client:
            assert "connection_established" in await heard(client)


async def test_a_proxy_at_a_unix_socket_says_who_has_too_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """And what the client itself has put before that counts for nothing."""
    monkeypatch.setenv("BARE_PER_IP", "1")
    path = folder / "s"

    def come(address: str) -> Any:
        headers = {"X-Forwarded-For": address}
        uri = f"ws://localhost{PATH}"
        return unix_connect(os.fspath(path), uri=uri, additional_headers=headers)

    with serving(folder / "log", "--uds", path):
        async with come("192.0.2.7") as first, come("192.0.2.7, 192.0.2.8") as second:
            assert "connection_established" in await heard(first)
            assert "connection_established" in await heard(second)
            async with come("192.0.2.9, 192.0.2.7") as third:
                assert '"code":4100' in await heard(third)


async def test_a_page_of_another_origin_is_refused_there_too(folder: Path):
    path = folder / "s"
    with serving(folder / "log", "--uds", path, "--log-level", "debug"):
        async with unix_connect(
            os.fspath(path), uri=f"ws://localhost{PATH}", origin="https://else.test"
        ) as client:
            assert '"code":4009' in await heard(client)
        with dial(path) as peer, peer.makefile("rb") as answer:
            peer.sendall(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 404 " in answer.readline()
        assert "Traceback" not in (folder / "log").read_text()


# -- sockets that it is handed ---------------------------------------------------------------


@LOOPS
async def test_a_port_that_is_handed_over(folder: Path, loop: str):
    with socket.create_server(("127.0.0.1", 0)) as ours:
        address = ours.getsockname()
        with serving(folder / "log", loop=loop, hand=ours) as process:
            assert f"are on http://127.0.0.1:{address[1]}\n" in (folder / "log").read_text()
            async with connect(f"ws://127.0.0.1:{address[1]}{PATH}") as client:
                await carry(client, socket.create_connection(address))
                await drain(client, process)
        # The supervisor's own stays open: whoever comes now waits for the next server.
        with socket.create_connection(address):
            pass


@LOOPS
async def test_a_unix_socket_that_is_handed_over(folder: Path, loop: str):
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(os.fspath(path))
        ours.listen()
        with serving(folder / "log", loop=loop, hand=ours) as process:
            assert f"are on the unix socket {path}\n" in (folder / "log").read_text()
            async with unix_connect(os.fspath(path), uri=f"ws://localhost{PATH}") as client:
                await carry(client, dial(path))
                await drain(client, process)
        assert path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has them")
def test_a_unix_socket_without_a_file_is_named_as_everywhere(folder: Path):
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(f"\0{folder.name}")
        ours.listen()
        with serving(folder / "log", hand=ours):
            assert f"are on the unix socket @{folder.name}\n" in (folder / "log").read_text()


@pytest.mark.parametrize(
    ("fd", "why"),
    [
        (1_000_000, "is no socket: Bad file descriptor."),
        (1, "is no socket: Socket operation on non-socket."),
        (-1, "is no socket: "),
    ],
)
def test_a_file_descriptor_that_is_no_socket(fd: int, why: str):
    assert refused("--fd", fd).startswith(f"File descriptor {fd} {why}")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_does_not_listen(kind: socket.SocketKind):
    with socket.socket(socket.AF_INET, kind) as idle:
        os.set_inheritable(idle.fileno(), True)
        done = subprocess.run(
            [*SERVE, "--fd", str(idle.fileno())],
            cwd=live.ROOT,
            env=os.environ | BARE | {"PYTHONPATH": str(live.ROOT)},
            capture_output=True,
            text=True,
            timeout=live.PATIENCE,
            close_fds=False,
            check=False,
        )
    assert done.returncode == 1
    assert "is no listening socket" in done.stderr.splitlines()[-1]


# -- TLS -------------------------------------------------------------------------------------


def with_key(certificate: Certificate) -> list[object]:
    return ["--certfile", certificate.certificate, "--keyfile", certificate.key]


def in_one(certificate: Certificate) -> list[object]:
    return ["--certfile", certificate.both]


def locked(certificate: Certificate) -> list[object]:
    key = ["--keyfile", certificate.locked_key, "--keyfile-password", PASSWORD]
    return ["--certfile", certificate.certificate, *key]


@LOOPS
@pytest.mark.parametrize("options", [with_key, in_one, locked])
async def test_sockets_and_api_over_tls(
    folder: Path,
    certificate: Certificate,
    options: Callable[[Certificate], list[object]],
    loop: str,
):
    if loop == "asyncio" and options is not with_key:
        return
    port, context = live.free_port(), trusting(certificate)
    files = options(certificate)
    with serving(folder / "log", "--port", port, *files, loop=loop) as process:
        assert f"are on https://127.0.0.1:{port}\n" in (folder / "log").read_text()
        async with connect(f"wss://127.0.0.1:{port}/app/tls-key?protocol=7", ssl=context) as client:
            assert "connection_established" in await heard(client)
        async with connect(f"wss://127.0.0.1:{port}{PATH}", ssl=context) as client:
            plain = socket.create_connection(("127.0.0.1", port))
            peer = context.wrap_socket(plain, server_hostname="127.0.0.1")
            assert (peer.selected_alpn_protocol(), peer.version()) == ("http/1.1", "TLSv1.3")
            await carry(client, peer)
            await drain(client, process)
    assert "Traceback" not in (folder / "log").read_text()


async def test_tls_on_a_unix_socket(folder: Path, certificate: Certificate):
    path, context = folder / "s", trusting(certificate)
    with serving(folder / "log", "--uds", path, *with_key(certificate)) as process:
        async with unix_connect(
            os.fspath(path), uri=f"wss://localhost{PATH}", ssl=context
        ) as client:
            await carry(client, context.wrap_socket(dial(path), server_hostname="localhost"))
            await drain(client, process)


async def test_tls_on_a_port_that_is_handed_over(folder: Path, certificate: Certificate):
    context = trusting(certificate)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        address = ours.getsockname()
        with serving(folder / "log", *with_key(certificate), hand=ours) as process:
            url = f"wss://127.0.0.1:{address[1]}{PATH}"
            async with connect(url, ssl=context) as client:
                peer = socket.create_connection(address)
                await carry(client, context.wrap_socket(peer, server_hostname="127.0.0.1"))
                await drain(client, process)


async def test_who_speaks_no_tls_or_an_old_one_gets_nothing(folder: Path, certificate: Certificate):
    port = live.free_port()
    with serving(folder / "log", "--port", port, *in_one(certificate)):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in peer.recv(1_000)
        old = trusting(certificate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", port)) as peer,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(peer, server_hostname="127.0.0.1")
        async with connect(f"wss://127.0.0.1:{port}{PATH}", ssl=trusting(certificate)) as client:
            await heard(client)
    assert "Traceback" not in (folder / "log").read_text()


def test_files_that_do_not_fit(certificate: Certificate, tmp_path: Path):
    other = make(tmp_path / "other")
    public, key = certificate.certificate, certificate.key
    nowhere = tmp_path / "nowhere"
    none = "no certificate with its private key, in PEM, can be read there."
    locked = "the key is encrypted, and --keyfile-password does not open it."
    expected = {
        ("--certfile", nowhere): f"Cannot read {nowhere}: No such file or directory.",
        ("--certfile", public, "--keyfile", nowhere): (
            f"Cannot read {nowhere}: No such file or directory."
        ),
        ("--certfile", ""): "Cannot read '': No such file or directory.",
        ("--certfile", public, "--keyfile", ""): "Cannot read '': No such file or directory.",
        ("--certfile", public, "--keyfile", other.key): (
            f"Cannot use {public} and {other.key}: the key is not that of the certificate."
        ),
        ("--certfile", public): f"Cannot use {public}: {none}",
        ("--certfile", __file__): f"Cannot use {__file__}: {none}",
        ("--certfile", public, "--keyfile", certificate.locked_key): (
            f"Cannot use {public} and {certificate.locked_key}: {locked}"
        ),
        ("--keyfile", key): ("A key is of no use without its certificate: give --certfile too."),
    }
    for options, problem in expected.items():
        assert refused(*options) == problem
