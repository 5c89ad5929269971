"""What an endpoint of an application's ``webhooks`` may not say."""

from __future__ import annotations

from typing import Any

import pytest

from broadcasting.applications.webhooks import mistakes

URL = "https://example.com/hook"


@pytest.mark.parametrize(
    "name", ["Content-Type", "content-length", "HOST", "X-Webhook-Id", "Connection", "X-Pusher-Key"]
)
def test_a_header_that_we_set_is_refused(name: str) -> None:
    (said,) = mistakes({"url": URL, "headers": {name: "x"}})
    assert repr(name) in said


@pytest.mark.parametrize("value", [" x", "x ", "\tx", "x\n", "é", 1])
def test_a_value_that_cannot_be_sent_is_refused(value: Any) -> None:
    (said,) = mistakes({"url": URL, "headers": {"X-Tenant": value}})
    assert "printable ASCII" in said


@pytest.mark.parametrize("value", ["", "x", "a b", "Bearer 1234"])
def test_one_that_can_is_not(value: str) -> None:
    assert not list(mistakes({"url": URL, "headers": {"Authorization": value}}))


def test_credentials_are_given_once() -> None:
    url = "https://user:hush@example.com/"
    (said,) = mistakes({"url": url, "headers": {"authorization": "Bearer hush"}})
    assert "one too many" in said
    assert "hush" not in said
    assert not list(mistakes({"url": url, "headers": {"X-Tenant": "a"}}))
