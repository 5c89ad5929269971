"""What Ably's clients are answered, checked by the rules that Ably publishes for its tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from time_machine import travel

from broadcasting import channel
from broadcasting.authorization import ably as ably_dialect
from broadcasting.authorization.rules import Routes
from broadcasting.testing import channel_auth

URL = "/broadcasting/auth"
NAME, SECRET = "app.key", "very-secret-indeed-of-43-characters-as-abl"
OTHER = "another-secret-of-43-characters-or-so-it-is"
Claims = dict[str, Any]


@pytest.fixture(autouse=True)
def ably(settings: Any, rules: Routes) -> None:
    @channel("orders.{number}")
    def orders(user: User, number: int) -> bool:
        return number != 13

    @channel("chat.{room}")
    def chat(user: User, room: str) -> dict[str, Any]:
        return {"id": user.pk, "since": timezone.now()}

    @channel("board.{name}")
    def board(user: User, name: str) -> dict[str, Any]:
        return {"ably-capability": ["subscribe", "history"], "colour": "red"}

    @channel("odd")
    def odd(user: User) -> dict[str, Any]:
        return {"ably-capability": "subscribe"}

    @channel("lobby", allow_anonymous=True)
    def lobby(user: User) -> bool:
        return True

    configure(settings)


def configure(settings: Any, **options: Any) -> None:
    ably = {"BACKEND": "ably", "OPTIONS": {"key": f"{NAME}:{SECRET}", **options}}
    settings.BROADCASTING = {**settings.BROADCASTING, "BROADCASTERS": {"default": ably}}


@pytest.fixture
def ada(client: Client, db: None) -> User:
    user = User.objects.create_user("ada")
    client.force_login(user)
    return user


def ask(client: Client, name: str | None, token: object = None, **more: Any) -> Any:
    """Post as Ably's Echo does."""
    body = {"channel_name": name, "token": token, **more}
    return client.post(URL, json.dumps(body), "application/json")


def part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def claims(token: str, secret: str = SECRET) -> Claims:
    """Return what Ably reads, once it would let the client in."""
    head, body, signature = token.split(".")
    assert part(head) == {"typ": "JWT", "alg": "HS256", "kid": NAME}
    good = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(good).decode().rstrip("=") == signature
    found: Claims = part(body)
    assert found["iat"] <= time.time() < found["exp"]
    # Text, which names whole channels or ends with a wildcard.
    found["x-ably-capability"] = json.loads(found["x-ably-capability"])
    return found


def forged(of: str, secret: str, **changes: Any) -> str:
    """Return a token with other claims, signed with ``secret``."""
    head, body, _ = of.split(".")
    head = encoded({**part(head), **changes.pop("header", {})})
    body = encoded({**part(body), **changes})
    signature = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def encoded(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


PUBLIC = {"public:*": ["subscribe", "history", "channel-metadata"]}


@pytest.mark.parametrize("name", [None, "public:news"])
def test_a_client_that_connects_may_hear_what_is_public(
    ada: User, client: Client, name: str | None
) -> None:
    answer = ask(client, name)
    assert (answer.status_code, set(answer.json())) == (200, {"token"})
    found = claims(answer.json()["token"])
    assert found["x-ably-capability"] == PUBLIC
    assert found["x-ably-clientId"] == str(ada.pk)
    assert found["exp"] - found["iat"] == 28800


def test_so_may_a_guest_who_has_no_name(client: Client, db: None) -> None:
    assert claims(ask(client, None).json()["token"])["x-ably-clientId"] is None


def test_public_channels_can_be_closed(ada: User, client: Client, settings: Any) -> None:
    open_token = ask(client, None).json()["token"]
    configure(settings, disable_public_channels=True, token_expiry=60)
    closed = {"public:*": ["channel-metadata"]}
    assert claims(ask(client, None, open_token).json()["token"])["x-ably-capability"] == closed
    found = claims(ask(client, None).json()["token"])
    assert (found["x-ably-capability"], found["exp"] - found["iat"]) == (closed, 60)


def test_a_token_grows_with_each_channel(ada: User, client: Client) -> None:
    first = ask(client, None).json()["token"]
    with travel(time.time() + 1000, tick=False):
        second = ask(client, "private:orders.1", first).json()["token"]
        answer = ask(client, "presence:chat.1", second).json()
        found = claims(answer["token"])
    assert found["x-ably-capability"] == PUBLIC | {
        "private:orders.1": ["*"],
        "presence:chat.1": ["*"],
    }
    assert (found["iat"], found["exp"]) == (claims(first)["iat"], claims(first)["exp"])
    assert answer["info"]["id"] == ada.pk
    assert isinstance(answer["info"]["since"], str)


def test_a_rule_says_what_may_be_done(ada: User, client: Client) -> None:
    for name in ("private:board.1", "presence:board.1"):
        answer = ask(client, name).json()
        assert claims(answer["token"])["x-ably-capability"][name] == ["subscribe", "history"]
        assert answer["info"] == {"colour": "red"}


def test_a_rule_that_says_it_wrongly_lets_nobody_in(ada: User, client: Client) -> None:
    assert ask(client, "private:odd").status_code == 500


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("private:orders.13", 403),
        ("private:unknown", 403),
        ("private:encrypted-orders.1", 403),
        ("private:*", 400),
        ("private:orders.*", 400),
        ("[meta]private:orders.1", 400),
        ("private:orders.1:x", 400),
        ("private-orders.1", 400),
        ("orders.1", 400),
        ("*", 400),
        ("public:*", 400),
        ("public:", 400),
        ("presence:lobby", 403),
    ],
)
def test_the_rules_are_asked_all_the_same(client: Client, db: None, name: str, status: int) -> None:
    if name != "presence:lobby":  # where a guest has no name to be known by
        client.force_login(User.objects.create_user("ada"))
    assert ask(client, name).status_code == status


def test_guests_enter_only_where_a_rule_says_so(client: Client, db: None) -> None:
    assert ask(client, "private:orders.1").status_code == 403
    found = claims(ask(client, "private:lobby").json()["token"])
    assert found["x-ably-clientId"] is None
    assert "private:lobby" in found["x-ably-capability"]


def test_another_user_begins_anew(ada: User, client: Client) -> None:
    """What one had been let into is nothing to the next one at the same browser."""
    hers = ask(client, "private:orders.1").json()["token"]
    client.force_login(User.objects.create_user("bob"))
    found = claims(ask(client, "private:orders.2", hers).json()["token"])
    assert "private:orders.1" not in found["x-ably-capability"]
    client.logout()
    assert claims(ask(client, None, hers).json()["token"])["x-ably-capability"] == PUBLIC


def test_what_has_ended_is_not_carried_on(ada: User, client: Client) -> None:
    with travel(time.time() - 28801, tick=False):
        old = ask(client, "private:orders.1").json()["token"]
    assert claims(ask(client, None, old).json()["token"])["x-ably-capability"] == PUBLIC


def test_what_we_did_not_sign_grants_nothing(ada: User, client: Client) -> None:
    own = ask(client, "private:orders.1").json()["token"]
    all_of_it = json.dumps({"*": ["*"]})
    none = forged(own, "", header={"alg": "none"}).rpartition(".")[0] + "."
    for token in (
        forged(own, OTHER, **{"x-ably-capability": all_of_it}),
        forged(own, SECRET, header={"kid": "other.key"}, **{"x-ably-capability": all_of_it}),
        none,
    ):
        answer = ask(client, None, token)
        granted = claims(answer.json()["token"])["x-ably-capability"]
        assert granted == PUBLIC, answer.content


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "..", ""])
def test_what_is_no_token_is_refused(ada: User, client: Client, token: str) -> None:
    assert ask(client, "private:orders.1", token).status_code == 403


@pytest.mark.parametrize("token", [7, {}, ["a"]])
def test_a_token_is_text(ada: User, client: Client, token: object) -> None:
    assert ask(client, "private:orders.1", token).status_code == 400


def test_a_token_is_for_one_channel_at_a_time(ada: User, client: Client) -> None:
    body = {"channel_name": ["private:orders.1"], "token": None}
    assert client.post(URL, json.dumps(body), "application/json").status_code == 400


def test_tokens_may_be_long(ada: User, client: Client) -> None:
    token = None
    for number in range(300, 350):
        answer = ask(client, f"private:orders.{number:0180}", token)
        token = answer.json()["token"]
    assert len(token or "") > 8 * 1024
    assert ask(client, None, "x" * 65_536).status_code == 413


def test_a_token_that_is_full_gives_up_what_is_oldest(
    ada: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one day it could not be posted any more, and no channel be entered until it ends."""
    monkeypatch.setattr(ably_dialect, "MAX_CAPABILITY", 200)
    token = None
    for number in (0, 1, 2, 3, 0, 4, 5, 6, 0):
        token = ask(client, f"private:orders.{number}", token).json()["token"]
        assert len(token) < 700
    granted = claims(str(token))["x-ably-capability"]
    assert {"public:*", "private:orders.0", "private:orders.6"} <= granted.keys()
    assert "private:orders.1" not in granted


class TestThePusherAdapter:
    def test_it_is_shown_a_signature_with_the_parts_of_the_key(
        self, ada: User, client: Client
    ) -> None:
        form = {"socket_id": "1.2", "channel_name": "private-orders.1"}
        signature = hmac.new(SECRET.encode(), b"1.2:private-orders.1", hashlib.sha256).hexdigest()
        assert client.post(URL, form).json() == {"auth": f"{NAME}:{signature}"}

    def test_members_are_part_of_what_is_signed(self, ada: User, client: Client) -> None:
        form = {"socket_id": "1.2", "channel_name": "presence-chat.1"}
        answer = client.post(URL, form).json()
        text = f"1.2:presence-chat.1:{answer['channel_data']}".encode()
        assert answer["auth"].endswith(hmac.new(SECRET.encode(), text, "sha256").hexdigest())
        assert json.loads(answer["channel_data"])["user_id"] == str(ada.pk)

    @pytest.mark.parametrize(
        ("socket_id", "name", "status"),
        [
            ("1.2:private-x", "private-orders.1", 400),
            ("", "private-orders.1", 400),
            ("1.2", "private:orders.1", 400),
            ("1.2", "private-orders.13", 403),
            ("1.2", "private-encrypted-orders.1", 403),
        ],
    )
    def test_nothing_else_is_signed(
        self, ada: User, client: Client, socket_id: str, name: str, status: int
    ) -> None:
        form = {"socket_id": socket_id, "channel_name": name}
        assert client.post(URL, form).status_code == status


def test_rules_are_tested_by_the_names_they_have_here(ada: User) -> None:
    assert channel_auth(ada, "private-orders.1").allowed
    assert channel_auth(ada, "private-orders.13").denied
