"""One attempt: what is kept of it, and what is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import pytest

from broadcasting.applications.webhooks import mistakes
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.attempts import attempt as try_once
from broadcasting.webhooks.attempts import attempt_and_wait, loop
from broadcasting.webhooks.bodies import Outcome
from broadcasting.webhooks.sending import LOOKUPS
from tests.live import PATIENCE
from tests.webhooks.receiver import DIE, Receiver


def attempt(url: str, **options: Any) -> Outcome:
    webhook = Webhook(url=url, **options)
    application = Application(id="app", key="app-key", secret="app-secret", webhooks=(webhook,))
    return attempt_and_wait(application, webhook, "id", "{}")


@pytest.mark.parametrize("value", ["hush ", " hush", "hush\n", "\thush"])
def test_an_error_shows_no_header(receiver: Receiver, value: str) -> None:
    """The library quotes what it refuses to send."""
    entry = {"url": receiver.url, "headers": {"Authorization": value}}
    (said,) = mistakes(entry)
    assert "hush" not in said
    outcome = attempt(receiver.url, headers={"Authorization": value})
    assert outcome.error
    assert "hush" not in outcome.error


def test_an_error_of_the_network_is_told(receiver: Receiver) -> None:
    receiver.answer = lambda number, path, _: DIE
    assert attempt(receiver.url).error.startswith("RemoteProtocolError: ")
    assert attempt("http://127.0.0.1:9/").error.startswith("ConnectError: ")


def test_no_cookie_is_kept(receiver: Receiver) -> None:
    """All endpoints share one client."""
    receiver.extra = {"Set-Cookie": "session=tenant; Path=/"}
    for path in ("a", "a", "b"):
        assert attempt(receiver.url + path).delivered
    assert [request.headers.get("cookie") for request in receiver.requests] == [None] * 3


def test_an_answer_that_never_ends_is_not_read_to_its_end(configure: Any) -> None:
    """What counts is its status, and others wait."""
    configure(WEBHOOKS={"TIMEOUT": PATIENCE})
    hung_up = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not hung_up.wait(0.01):
                connection.sendall(b"x")
        hung_up.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: drip(listener.accept()[0]))
        thread.start()
        outcome = attempt(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert outcome == Outcome(status=200)
        assert hung_up.wait(PATIENCE)
        thread.join()


def test_names_that_hang_hold_up_no_other(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    hanging = threading.Semaphore(0)
    real = socket.getaddrinfo

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        if "slow" in str(host):
            hanging.release()
            go.wait(PATIENCE)
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    application = Application(id="app", key="app-key", secret="app-secret")
    lookups = [
        loop.submit(try_once(application, Webhook(url=f"http://slow{n}.example/"), "id", "{}"))
        for n in range(LOOKUPS - 1)
    ]
    for _ in lookups:
        assert hanging.acquire(timeout=PATIENCE)
    assert attempt(receiver.url).delivered
    go.set()
    assert not any(lookup.result(PATIENCE).delivered for lookup in lookups)
