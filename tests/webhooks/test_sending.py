"""One attempt: what is kept of it, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from broadcasting.applications.webhooks import mistakes
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.attempts import attempt_and_wait
from broadcasting.webhooks.bodies import Outcome
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
