"""The proxy does the harm that it is asked for, and no other."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.tcp_proxy import TcpProxy

PATIENCE = 10.0


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with TcpProxy(server.server_address[:2]) as proxy:  # type: ignore[arg-type]
            yield proxy
        server.shutdown()


def dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(proxy.address, PATIENCE)


def test_it_carries_both_ways_in_order(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        for number in range(5):
            proxy.delay(0.02 if number == 2 else 0)
            client.sendall(b"%d" % number)
        assert client.makefile("rb").read(5) == b"01234"
    assert proxy.accepted == 1


def test_what_is_paused_arrives_later(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        proxy.pause()
        client.sendall(b"later")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        proxy.heal()
        assert client.makefile("rb").read(5) == b"later"


def test_what_is_dropped_never_arrives(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        proxy.drop()
        client.sendall(b"lost")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        proxy.heal()
        client.sendall(b"b")
        assert client.recv(1) == b"b"


def test_a_cut_ends_what_is_open_and_nothing_else(proxy: TcpProxy) -> None:
    with dial(proxy) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        assert proxy.open == 1
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with dial(proxy) as client:
        client.sendall(b"b")
        assert client.recv(1) == b"b"


def test_what_is_refused_is_closed(proxy: TcpProxy) -> None:
    proxy.refuse()
    with dial(proxy) as client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    proxy.heal()
    with dial(proxy) as client:
        client.sendall(b"c")
        assert client.recv(1) == b"c"
