"""Encrypted and cache channels: the same rules, and for the former the channel's key."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcasting.authorization import channel
from broadcasting.authorization.answers import Signer, sign_encrypted
from broadcasting.authorization.rules import Routes
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import channel_text, verify_authorization
from tests.authorization.conftest import Ask

pytestmark = pytest.mark.django_db

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ENTRY = {
    "id": "app",
    "key": "app-key",
    "secret": "app-secret",
    "encryption_master_key": MASTER_KEY,
}
APPLICATION = Application(**ENTRY)  # type: ignore[arg-type]
FOO = {
    "private-encrypted-foo": "E3I6KxLwqP1Rr/p1676Vpnrw23CkRdS5bkX5NazRkeY=",
    "private-encrypted-vault.1": "9UQf6KMW6+EIuqTG9PeW+xW4TtxOxb0Yeu6JS0A/J9s=",
}


@pytest.fixture
def key(settings: Any) -> None:
    settings.BROADCASTING = {**settings.BROADCASTING, "APPLICATIONS": [ENTRY]}


@pytest.fixture(autouse=True)
def asked(rules: Routes) -> list[str]:
    """What the rules were asked for."""
    names: list[str] = []

    @channel("foo")
    def foo(user: User, channel: str) -> bool:
        names.append(channel)
        return True

    @channel("vault.{vault}")
    def vault(user: User, vault: int, channel: str) -> bool:
        names.append(channel)
        return vault == 1

    return names


@pytest.fixture(autouse=True)
def user(client: Client) -> User:
    user = User.objects.create_user("ada", pk=7)
    client.force_login(user)
    return user


@pytest.mark.usefixtures("key")
class TestWithAKey:
    @pytest.mark.parametrize(("name", "secret"), FOO.items())
    def test_the_answer_has_the_channels_key(self, ask: Ask, name: str, secret: str) -> None:
        """App 1, 13. 139."""
        response = ask(name)
        assert response.status_code == 200
        body = response.json()
        assert body["shared_secret"] == secret
        # As on private channels, so that access can be revoked.
        assert json.loads(body["channel_data"])["user_id"] == "7"
        text = channel_text("123.456", name, body["channel_data"])
        assert verify_authorization(APPLICATION, text, body["auth"])

    def test_a_refusal_has_no_key(self, ask: Ask) -> None:
        response = ask("private-encrypted-vault.2")
        assert response.status_code == 403
        assert response.json() == {"message": "This channel may not be joined."}

    def test_the_other_kinds_have_none(self, ask: Ask) -> None:
        assert "shared_secret" not in ask("private-vault.1").json()

    def test_a_cache_channel_has_a_key_of_its_own(self, ask: Ask, asked: list[str]) -> None:
        body = ask("private-encrypted-cache-foo").json()
        assert body["shared_secret"] not in FOO.values()
        assert asked == ["private-encrypted-cache-foo"]

    def test_a_rule_of_other_kinds_is_not_asked(self, ask: Ask, rules: Routes) -> None:
        channel("open", kinds=["private", "presence"])(lambda user: True)
        channel("secret", kinds="encrypted")(lambda user: True)
        assert ask("private-encrypted-open").status_code == 403
        assert ask("private-encrypted-secret").status_code == 200
        assert ask("private-secret").status_code == 403


def test_without_a_key_it_is_refused_before_any_rule(
    ask: Ask, asked: list[str], settings: Any
) -> None:
    settings.DEBUG = True
    response = ask("private-encrypted-foo")
    assert response.status_code == 403
    assert "'app' has no 'encryption_master_key'" in response.json()["message"]
    assert asked == []


@pytest.mark.usefixtures("key")
def test_without_pynacl_the_extra_is_named(
    ask: Ask, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)
    settings.DEBUG = True
    response = ask("private-encrypted-foo")
    assert response.status_code == 403
    assert "pip install 'django-broadcasting[encryption]'" in response.json()["message"]


def test_a_foreign_server_has_its_own_key_and_the_plain_form(ask: Ask, settings: Any) -> None:
    """App 1. 139."""
    options = {
        "app_id": "1",
        "key": "foo",
        "secret": "bar",
        "encryption_master_key": "OHRXNUZRTG5pUTFzQlFGd3J3N3Q2VFZFc0paZDEweVk=",
    }
    settings.BROADCASTING = {"BROADCASTERS": {"default": {"BACKEND": "pusher", "OPTIONS": options}}}
    channel("channel")(lambda user: True)
    assert ask("private-encrypted-channel", "345.23").json() == {
        "auth": "foo:fff0503dfe4929f5162efe4d1dacbce524b0d8e7e1331117a8651c0e74d369e3",
        "shared_secret": "VmIsNZtCSteh8kazd2toc+ofhohBtUouQRSDtRvuyVI=",
    }


def test_a_guest_that_a_rule_allows_gets_the_plain_form() -> None:
    signer = Signer(application=APPLICATION, ours=True)
    answer = sign_encrypted(signer, "1.1", "private-encrypted-foo", None)
    assert answer.keys() == {"auth", "shared_secret"}


@pytest.mark.parametrize("prefix", ["private-cache-", "presence-cache-", "private-", "presence-"])
def test_cache_channels_ask_the_rule_of_the_plain_name(
    prefix: str, ask: Ask, asked: list[str]
) -> None:
    body = ask(f"{prefix}vault.1").json()
    text = channel_text("123.456", f"{prefix}vault.1", body["channel_data"])
    assert verify_authorization(APPLICATION, text, body["auth"])
    assert ask(f"{prefix}vault.2").status_code == 403
    assert asked == [f"{prefix}vault.1", f"{prefix}vault.2"]
