"""The welcome page as a Django view: there under DEBUG, safe, and honest about failures."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings

from broadcasting.testing import PusherClient
from broadcasting.welcome import EVENT, channel_of

PAGE = "/broadcasting/welcome/"
SEND = "/broadcasting/welcome/send"

debug = override_settings(DEBUG=True)
# No socket is there in most of these tests, and "local" minds that.
recorded = override_settings(
    DEBUG=True,
    BROADCASTING={**django_settings.BROADCASTING, "DEFAULT_BROADCASTER": "locmem"},
)


def opened(client: Client) -> tuple[str, dict[str, str]]:
    """Return the page and the hidden fields of its form."""
    answer = client.get(PAGE)
    assert answer.status_code == 200
    html = answer.content.decode()
    return html, dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", [PAGE, SEND])
def test_it_is_not_there_without_debug(client: Client, path: str, method: str) -> None:
    assert getattr(client, method)(path).status_code in (404, 405)
    assert client.get(PAGE).status_code == 404
    assert client.post(SEND, {"page": "a", "press": "1"}).status_code == 404


@debug
def test_the_button_sends_a_real_event(client: Client) -> None:
    _, fields = opened(client)
    with PusherClient() as listener:
        listener.subscribe(channel_of(fields["page"]))
        answer = client.post(SEND, {**fields, "press": "7"})
        assert answer.status_code == 200
        assert answer.json()["milliseconds"] >= 0
        received = listener.receive()
    assert received.event == EVENT
    assert received.data == {"page": fields["page"], "press": "7"}


@debug
def test_every_page_has_a_channel_of_its_own(client: Client) -> None:
    assert opened(client)[1]["page"] != opened(client)[1]["page"]
    assert client.get(PAGE).headers["Cache-Control"].count("no-store")


@recorded
def test_it_needs_the_token_of_the_page() -> None:
    client = Client(enforce_csrf_checks=True)
    _, fields = opened(client)
    assert client.post(SEND, {**fields, "press": "1"}).status_code == 200
    token = fields.pop("csrfmiddlewaretoken")
    assert token
    assert client.post(SEND, {**fields, "press": "1"}).status_code == 403


@debug
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"page": "a"},
        {"page": "a", "press": ""},
        {"page": "a b", "press": "1"},
        {"page": "a:b", "press": "1"},
        {"page": "a" * 41, "press": "1"},
        {"page": "é", "press": "1"},
        {"page": "a\n", "press": "1"},
    ],
)
def test_it_sends_nowhere_else(client: Client, fields: dict[str, str]) -> None:
    assert client.post(SEND, fields).status_code == 400


@debug
def test_a_failed_dispatch_is_told(client: Client) -> None:
    layers = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
        }
    }
    crossing: Any = {**django_settings.BROADCASTING, "BACKPLANE": {"BACKEND": "channel_layer"}}
    with override_settings(CHANNEL_LAYERS=layers, BROADCASTING=crossing):
        answer = client.post(SEND, {"page": "a", "press": "1"})
    assert answer.status_code == 503
    assert answer.json()["message"]


@debug
def test_nothing_is_inline_and_no_secret_shows(client: Client) -> None:
    html, _ = opened(client)
    assert "app-secret" not in html
    assert not re.search(r"\sstyle=|\son\w+=|<style", html)
    scripts = re.findall(r"<script([^>]*)>", html)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)


@debug
def test_it_knows_whether_a_worker_is_on_the_way(client: Client) -> None:
    assert "is one running?" not in opened(client)[0]
    with override_settings(
        BROADCASTING={**django_settings.BROADCASTING, "QUEUE": {"BACKEND": "celery"}}
    ):
        assert "is one running?" in opened(client)[0]


@recorded
def test_it_is_open_to_visitors_who_are_not_logged_in(client: Client) -> None:
    middleware = [
        *django_settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):
        _, fields = opened(client)
        assert client.post(SEND, {**fields, "press": "1"}).status_code == 200


@debug
def test_it_brings_a_policy_under_which_it_runs(client: Client) -> None:
    policy = client.get(PAGE).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    with override_settings(STATIC_URL="https://cdn.test/static/"):
        policy = client.get(PAGE).headers["Content-Security-Policy"]
    assert "script-src 'self' https://cdn.test;" in policy
    with override_settings(STATIC_URL="//cdn.test/static/"):
        policy = client.get(PAGE).headers["Content-Security-Policy"]
    assert "script-src 'self' cdn.test;" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("backend", "named"), [("locmem", True), ("channels", False)])
def test_a_broadcaster_that_reaches_no_browser_is_named(
    client: Client, backend: str, named: bool
) -> None:
    broadcasting = {
        **django_settings.BROADCASTING,
        "BROADCASTERS": {"default": {"BACKEND": backend}},
    }
    with override_settings(DEBUG=True, BROADCASTING=broadcasting):
        html, _ = opened(client)
    assert ("sends nothing to browsers" in html) is named
