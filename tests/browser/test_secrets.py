"""Encrypted channels and sign-ins through {% echo_script %}, with the real Echo and pusher-js.

What is sealed and signed is ours; the socket and the endpoints are played, see test_glue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Route, WebSocketRoute

from broadcasting.authorization.answers import find_signer, sign_encrypted, sign_user
from broadcasting.encryption import encrypt
from broadcasting.protocol import messages
from tests.browser.conftest import Visitors
from tests.browser.test_glue import SITE, SOCKET_ID, Site

VAULT = "private-encrypted-vault.1"
MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ENTRY = {
    "id": "app",
    "key": "app-key",
    "secret": "app-secret",
    "encryption_master_key": MASTER_KEY,
}
ADA = User(pk=7)


class SigningSite(Site):
    """A site whose visitors can sign in."""

    def __init__(self, visitor: Any) -> None:
        super().__init__(visitor)
        self.signed_in: list[dict[str, str]] = []
        # Retries wait for milliseconds here.
        self.head = """<script>document.addEventListener("broadcasting:init", ({ detail }) => {
          Object.assign(detail.options.userAuthentication, Broadcasting.userAuthentication({
            endpoint: detail.options.userAuthentication.endpoint,
            pusher: () => Broadcasting.echo?.connector.pusher,
            headers: () => Broadcasting.echo?.connector.options.userAuthentication.headers,
            refresh: () => Broadcasting.refresh?.(),
            backoffMilliseconds: 5,
          }));
        });</script>"""

    def _serve(self, route: Route) -> None:
        if route.request.url != f"{SITE}/broadcasting/user-auth":
            super()._serve(route)
            return
        self.forms.append(parse_qs(route.request.post_data or ""))
        self.auth_headers.append(route.request.all_headers())
        answer = self.answers.pop(0) if self.answers else self.grant_user
        status, data = answer({})
        route.fulfill(status=status, json=data)

    def _told(self, socket: WebSocketRoute, text: str) -> None:
        message = json.loads(text)
        if message["event"] == "pusher:signin":
            self.signed_in.append(message["data"])
            socket.send(messages.signin_success(message["data"]["user_data"]))
        super()._told(socket, text)

    def grant_user(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Answer as the user-auth view does."""
        return 200, sign_user(find_signer(), SOCKET_ID, {"id": "7"})

    def grant_vault(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Answer as the auth view does."""
        return 200, sign_encrypted(find_signer(), SOCKET_ID, form["channel_name"][0], ADA)

    def send(self, name: str, channel: str, data: str) -> None:
        self.sockets[0].send(messages.event(name, channel, data))


@pytest.fixture
def site(chromium: Browser, settings: Any) -> Iterator[SigningSite]:
    settings.BROADCASTING = {**settings.BROADCASTING, "APPLICATIONS": [ENTRY]}
    visitors = Visitors(chromium)
    yield SigningSite(visitors.new())
    visitors.close()


def test_an_encrypted_channel_is_read(site: SigningSite) -> None:
    site.answers = [site.grant_vault]
    page = site.open()
    page.evaluate(
        "Echo.encryptedPrivate('vault.1').listen('Opened', (data) => { window.got = data; })"
    )
    page.wait_for_function("Echo.connector.pusher.channel('private-encrypted-vault.1').subscribed")
    application = find_signer().application
    site.send("Opened", VAULT, encrypt(application, VAULT, '{"name":"Ada Ω"}'))
    page.wait_for_function("window.got?.name === 'Ada Ω'")


def test_a_wrong_key_costs_one_more_question_and_nothing_else(site: SigningSite) -> None:
    """142."""

    def another(form: dict[str, list[str]]) -> tuple[int, Any]:
        status, data = site.grant_vault(form)
        return status, {**data, "shared_secret": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="}

    site.answers = [another, another, site.grant_vault]
    page = site.open()
    page.evaluate(
        """() => {
          window.got = [];
          Echo.encryptedPrivate("vault.1").listen("Opened", ({ number }) => got.push(number));
        }"""
    )
    page.wait_for_function("Echo.connector.pusher.channel('private-encrypted-vault.1').subscribed")
    application = find_signer().application
    with page.expect_response("**/broadcasting/auth"):
        site.send("Opened", VAULT, encrypt(application, VAULT, '{"number":1}'))
    # The first is lost; the second brings the right key.
    site.send("Opened", VAULT, encrypt(application, VAULT, '{"number":2}'))
    page.wait_for_function("got.length === 1 && got[0] === 2")
    assert len(site.forms) == 3
    assert site.visitor.complaints == []


def test_a_user_signs_in_and_hears_what_is_for_them(site: SigningSite) -> None:
    site.head = ""  # as the tag made it
    page = site.open()
    page.evaluate(
        """() => {
          Echo.connector.pusher.user.bind("Greeted", (data) => { window.got = data; });
          Echo.connector.pusher.signin();
        }"""
    )
    page.wait_for_function("Echo.connector.pusher.user.user_data?.id === '7'")
    assert site.forms == [{"socket_id": [SOCKET_ID]}]
    assert "x-csrf-token" in site.auth_headers[0]
    assert site.signed_in == [sign_user(find_signer(), SOCKET_ID, {"id": "7"})]
    page.wait_for_function("Echo.connector.pusher.user.serverToUserChannel?.subscribed")
    site.send("Greeted", "#server-to-user-7", '{"text":"hello"}')
    page.wait_for_function("window.got?.text === 'hello'")


def test_a_sign_in_survives_a_server_that_is_restarting(site: SigningSite) -> None:
    site.answers = [lambda form: (502, {}), lambda form: (503, {})]
    page = site.open()
    page.evaluate("Echo.connector.pusher.signin()")
    page.wait_for_function("Echo.connector.pusher.user.user_data?.id === '7'")
    assert len(site.forms) == 3


def test_a_sign_in_without_a_session_is_tried_once_more(site: SigningSite) -> None:
    site.answers = [lambda form: (401, {})]
    page = site.open()
    page.evaluate(
        """() => {
          Broadcasting.refresh = async () => { window.refreshed = true; };
          Echo.connector.pusher.signin();
        }"""
    )
    page.wait_for_function("Echo.connector.pusher.user.user_data?.id === '7'")
    assert page.evaluate("refreshed")


def test_a_refused_sign_in_can_be_seen(site: SigningSite) -> None:
    site.answers = [lambda form: (403, {"message": "You may not sign in."})]
    page = site.open()
    page.evaluate(
        """() => {
          Echo.connector.pusher.user.bind("pusher:signin_error", (data) => { window.got = data; });
          Echo.connector.pusher.signin();
        }"""
    )
    page.wait_for_function("window.got !== undefined")
    assert page.evaluate("got") == {
        "type": "AuthError",
        "error": "You may not sign in.",
        "status": 403,
    }
    assert len(site.forms) == 1
    assert any("the sign-in was not authorized (403)" in said for said in site.visitor.complaints)
