"""What becomes of a server's answer that cannot be read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.exceptions import BroadcasterUnavailable, BroadcastRefused


class Garbling(BaseHTTPRequestHandler):
    """Answers with what the tests put here."""

    status = 200
    header = ("Content-Encoding", "gzip")
    body = b"nope"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = self.body.replace(b"<path>", self.path.encode())
        self.send_response(self.status)
        self.send_header(*self.header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

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


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b"null", b"1", b'{"channels": null, "users": [{}]}']
)
def test_an_answer_of_something_else_is_no_answer(
    broadcaster: BaseBroadcaster, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(Garbling, "header", ("Content-Type", "text/html"))
    monkeypatch.setattr(Garbling, "body", body)

    async def achannels() -> None:
        try:
            await broadcaster.achannels()
        finally:
            await broadcaster.aclose()

    for ask in (
        lambda: broadcaster.members("presence-a"),
        broadcaster.channels,
        lambda: asyncio.run(achannels()),
    ):
        with pytest.raises(BroadcasterUnavailable, match="something else than Pusher's API"):
            ask()


def test_an_answer_that_quotes_the_request_betrays_no_signature(
    broadcaster: BaseBroadcaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Garbling, "status", 404)
    monkeypatch.setattr(Garbling, "header", ("Content-Type", "text/plain"))
    monkeypatch.setattr(Garbling, "body", b"No page <path>")
    with pytest.raises(BroadcastRefused, match=r"No page .*auth_signature=\.\.\.$") as refused:
        broadcaster.disconnect("7")
    assert refused.value.body.endswith("auth_signature=...")


@pytest.mark.parametrize(
    ("charset", "body"), [("rot13", b"no"), ("utf-8", b"[" * 100_000), ("utf-8", b"\xff")]
)
def test_a_refusal_that_cannot_be_read_is_one(
    broadcaster: BaseBroadcaster, monkeypatch: pytest.MonkeyPatch, charset: str, body: bytes
) -> None:
    monkeypatch.setattr(Garbling, "status", 400)
    monkeypatch.setattr(Garbling, "header", ("Content-Type", f"text/plain; charset={charset}"))
    monkeypatch.setattr(Garbling, "body", body)
    with pytest.raises(BroadcastRefused, match="answered with 400"):
        broadcaster.disconnect("7")
