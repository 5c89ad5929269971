"""What is sent: Pusher's format, to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application, Webhook
from broadcasting.protocol.signing import sign
from broadcasting.webhooks.bodies import (
    body_of,
    endpoint_of,
    event_text,
    headers_of,
    lane_of,
    masked,
    names_of,
    renewed,
    wait_after,
    without_credentials,
)

APPLICATION = Application(id="app", key="app-key", secret="app-secret")
HOOK = Webhook(url="https://example.com/hook")


def occurrence(name: str, **facts: Any) -> Occurrence:
    values: dict[str, Any] = {"channel": "presence-a", "time_ms": 1} | facts
    return Occurrence(name=name, application=APPLICATION, **values)


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (occurrence("channel_occupied"), '{"name":"channel_occupied","channel":"presence-a"}'),
        (
            occurrence("member_added", user_id="7"),
            '{"name":"member_added","channel":"presence-a","user_id":"7"}',
        ),
        (
            occurrence("subscription_count", channel="a", subscription_count=3),
            '{"name":"subscription_count","channel":"a","subscription_count":3}',
        ),
        (
            occurrence(
                "client_event", event="client-x", data='{"a":1}', socket_id="1.2", user_id="7"
            ),
            '{"name":"client_event","channel":"presence-a","event":"client-x",'
            '"data":"{\\"a\\":1}","socket_id":"1.2","user_id":"7"}',
        ),
        (
            occurrence(
                "client_event",
                channel="private-a",
                event="client-x",
                data="é",
                socket_id="1.2",
                user_id="7",
            ),
            '{"name":"client_event","channel":"private-a","event":"client-x",'
            '"data":"\\u00e9","socket_id":"1.2"}',
        ),
    ],
)
def test_an_event_is_told_in_pushers_words(told: Occurrence, text: str) -> None:
    """203."""
    assert event_text(told) == text


def test_data_that_no_encoding_knows_can_be_sent() -> None:
    text = event_text(occurrence("client_event", event="client-x", data="\ud800\x00"))
    assert json.loads(text.encode())["data"] == "\ud800\x00"


def test_a_body_has_its_time_and_its_events() -> None:
    body = body_of(['{"name":"a"}', '{"name":"b"}'], 1_700_000_000_000)
    assert body == '{"time_ms":1700000000000,"events":[{"name":"a"},{"name":"b"}]}'
    again = renewed(body, 5)
    assert again == '{"time_ms":5,"events":[{"name":"a"},{"name":"b"}]}'
    assert names_of(["a", "b", "a"]) == "a, b"


def test_headers_of_an_endpoint_cannot_replace_ours() -> None:
    """206, 210, 222."""
    application = Application(id="a", key="k", secret="new", previous_secret="old")
    custom = {
        "x-pusher-key": "theirs",
        "X-PUSHER-Extra": "theirs",
        "content-type": "text/plain",
        "x-webhook-ID": "theirs",
        "Host": "theirs",
        "user-agent": "Theirs/1",
        "Authorization": "Bearer t",
    }
    headers = headers_of(application, Webhook(url=HOOK.url, headers=custom), "id", b"{}")
    assert headers == {
        "user-agent": "Theirs/1",
        "Authorization": "Bearer t",
        "Content-Type": "application/json",
        "X-Pusher-Key": "k",
        "X-Pusher-Signature": sign("old", b"{}"),
        "X-Webhook-Id": "id",
    }
    assert headers_of(application, HOOK, "id", b"")["User-Agent"].startswith("django-broadcasting/")


def test_waits_double_up_to_a_minute_and_differ_a_little() -> None:
    """207."""
    assert [wait_after(n, 1, 0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert wait_after(10_000, 1, 0) == 60
    assert wait_after(3, 90, 0) == 90
    assert 4 < wait_after(3, 1, 0.5) < 4.5


def test_an_endpoint_is_found_again_when_its_headers_changed() -> None:
    lane = lane_of("app", HOOK)
    assert lane != lane_of("second", HOOK)
    assert lane != lane_of("app", Webhook(url=HOOK.url, event_types=frozenset({"cache_miss"})))
    others = (Webhook(url=HOOK.url, channel_name_starts_with="a"), Webhook(url="https://b.example"))
    changed = Webhook(url=HOOK.url, headers={"X-New": "1"})
    known = Application(id="app", key="k", secret="s", webhooks=(*others, changed))
    assert endpoint_of(known, lane, HOOK.url) is changed
    assert endpoint_of(known, "gone", HOOK.url) is others[0]
    assert endpoint_of(known, "gone", "https://c.example") is None


def test_credentials_are_not_kept() -> None:
    assert without_credentials("https://u:p@a.example:8/x?y=1") == "https://a.example:8/x?y=1"
    assert without_credentials("https://a.example/") == "https://a.example/"
    assert without_credentials("http://[::1") == ""
    secret = Webhook(url="https://u:p@a.example/")
    known = Application(id="app", key="k", secret="s", webhooks=(secret,))
    assert endpoint_of(known, "gone", "https://a.example/") is secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://shop.example/hooks/pusher/", "https://shop.example/hooks/pusher/"),
        ("https://ada:hush@shop.example:8443/h", "https://shop.example:8443/h"),
        (
            "https://chat.example/services/T0/abcdefghijklmnop",
            "https://chat.example/services/T0/abcd…",
        ),
        ("https://shop.example/h?token=hush&x=1#hush", "https://shop.example/h?…"),
        ("https://[broken", ""),
    ],
)
def test_a_url_is_shown_without_what_guards_it(url: str, shown: str) -> None:
    assert masked(url) == shown
