"""What becomes of a server's answer that cannot be read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.exceptions import BroadcasterUnavailable


class Garbling(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"nope")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def broadcaster() -> Iterator[BaseBroadcaster]:
    with HTTPServer(("127.0.0.1", 0), Garbling) as server:
        threading.Thread(target=server.serve_forever).start()
        host = {"host": "127.0.0.1", "port": server.server_port, "use_tls": False}
        options = {"app_id": "1", "key": "key", "secret": "secret", **host}
        made = broadcasters.build({"BACKEND": "pusher", "OPTIONS": options})
        yield made
        made.close()
        server.shutdown()


async def adisconnect(broadcaster: BaseBroadcaster) -> None:
    try:
        await broadcaster.adisconnect("7")
    finally:
        await broadcaster.aclose()


@pytest.mark.parametrize(
    "ask", [lambda one: one.disconnect("7"), lambda one: asyncio.run(adisconnect(one))]
)
def test_an_answer_that_cannot_be_unpacked_is_no_answer(
    broadcaster: BaseBroadcaster, ask: Callable[[BaseBroadcaster], None]
) -> None:
    with pytest.raises(BroadcasterUnavailable, match="DecodingError"):
        ask(broadcaster)
