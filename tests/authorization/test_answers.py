from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import AnonymousUser, User
from rest_framework import serializers

from broadcasting.applications import Application
from broadcasting.authorization.answers import (
    Signer,
    find_signer,
    member_info,
    sign_presence,
    sign_private,
)
from broadcasting.authorization.outcomes import Refused
from broadcasting.exceptions import PayloadError
from broadcasting.protocol.errors import SubscriptionRefused
from broadcasting.protocol.messages import Subscribe
from broadcasting.protocol.protocol import Member, Protocol
from broadcasting.protocol.signing import channel_text, sign

OURS = Signer(application=Application(id="app", key="app-key", secret="app-secret"), ours=True)
THEIRS = Signer(application=OURS.application, ours=False)
DOCS_KEY, DOCS_SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
DOCS = Signer(application=Application(id="3", key=DOCS_KEY, secret=DOCS_SECRET), ours=False)


@pytest.mark.parametrize(
    ("signer", "socket_id", "channel", "auth"),
    [
        (
            DOCS,
            "1234.1234",
            "private-foobar",
            f"{DOCS_KEY}:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
        ),
        (
            THEIRS,
            "123.456",
            "private-orders.1",
            "app-key:d5ddd577b56ebc9ed89f55ec4e3aa51f5f2b5691714eda41028fb9e7ab2b7283",
        ),
        (
            Signer(
                application=Application(id="1", key="thisisaauthkey", secret="thisisasecret"),
                ours=False,
            ),
            "1.1",
            "testing_pusher-php",
            "thisisaauthkey:751ccc12aeaa79d46f7c199bced5fa47527d3480b51fe61a0bd10438241bd52d",
        ),
        (
            Signer(
                application=Application(id="1", key="thisisaauthkey", secret="thisisasecret"),
                ours=False,
            ),
            "45055.28877557",
            "-azAZ9_=@,.;",
            "thisisaauthkey:d1c20ad7684c172271f92c108e11b45aef07499b005796ae1ec5beb924f361c4",
        ),
    ],
)
def test_the_published_private_vectors(
    signer: Signer, socket_id: str, channel: str, auth: str
) -> None:
    """App 1."""
    assert sign_private(signer, socket_id, channel, User(pk=7)) == {"auth": auth}


def test_our_presence_vector() -> None:
    """App 1."""
    answer = sign_presence(
        OURS, "123.456", "presence-chat.1", User(pk=1), {"id": 42, "name": "Ada"}
    )
    assert answer == {
        "auth": "app-key:c13e5be258650df6ee6fdf66975c372524e05629cb2b0df7839a4cb1d88608f6",
        "channel_data": '{"user_id":"42","user_info":{"id":42,"name":"Ada"}}',
    }


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("Mr. Channels", "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"),
        ("Mr. Pusher", "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"),
    ],
)
def test_the_published_presence_vectors(name: str, signature: str) -> None:
    """App 1."""
    data = f'{{"user_id":10,"user_info":{{"name":"{name}"}}}}'
    assert sign(DOCS_SECRET, channel_text("1234.1234", "presence-foobar", data)) == signature


def test_our_server_is_told_the_user_of_a_private_channel_under_the_signature() -> None:
    answer = sign_private(OURS, "123.456", "private-orders.1", User(pk=7))
    assert answer["channel_data"] == '{"user_id":"7"}'
    text = '123.456:private-orders.1:{"user_id":"7"}'
    assert answer["auth"] == f"app-key:{sign('app-secret', text)}"


@pytest.mark.parametrize("user", [None, AnonymousUser(), object()])
def test_a_guest_or_a_user_without_key_gets_the_plain_form(user: Any) -> None:
    """App 1: our own vector of a private channel."""
    assert sign_private(OURS, "123.456", "private-orders.1", user) == {
        "auth": "app-key:d5ddd577b56ebc9ed89f55ec4e3aa51f5f2b5691714eda41028fb9e7ab2b7283"
    }


def test_what_is_signed_is_what_is_returned_byte_for_byte() -> None:
    """App 1, 13: one text, made once."""
    info = {"id": "é", "name": 'Ada "Ω" \U0001f600 </script>', "nested": {"a": [1, 2.5, None]}}
    answer = sign_presence(THEIRS, "1.1", "presence-x", User(pk=7), info)
    text = f"1.1:presence-x:{answer['channel_data']}"
    assert answer["auth"] == f"app-key:{sign('app-secret', text)}"
    assert json.loads(answer["channel_data"]) == {"user_id": "é", "user_info": info}


@pytest.mark.parametrize(("own", "user_id"), [(42, "42"), ("a", "a"), (0, "0"), (None, "7")])
def test_a_members_id_is_a_string_the_dicts_or_else_the_users(own: Any, user_id: str) -> None:
    """App 13: presence ids."""
    answer = sign_presence(OURS, "1.1", "presence-x", User(pk=7), {"id": own})
    assert json.loads(answer["channel_data"])["user_id"] == user_id


@pytest.mark.parametrize("own", ["", "x" * 129, "a\nb", "\ud800"])
def test_a_members_id_has_1_to_128_characters(own: str) -> None:
    with pytest.raises(Refused, match="128"):
        sign_presence(OURS, "1.1", "presence-x", User(pk=7), {"id": own})
    sign_presence(OURS, "1.1", "presence-x", User(pk=7), {"id": "x" * 128})


def test_a_member_without_any_id_is_refused() -> None:
    with pytest.raises(Refused, match="'id'"):
        sign_presence(OURS, "1.1", "presence-x", AnonymousUser(), {"name": "somebody"})


def test_user_info_above_the_applications_limit_is_refused() -> None:
    fits = {"id": 1, "bio": "é" * 500}  # 2 bytes each
    sign_presence(OURS, "1.1", "presence-x", User(pk=1), fits)
    large = {"id": 1, "bio": "é" * 510}
    with pytest.raises(Refused, match="1 KB"):
        sign_presence(OURS, "1.1", "presence-x", User(pk=1), large)
    # Another server has limits of its own.
    sign_presence(THEIRS, "1.1", "presence-x", User(pk=1), large)


def test_user_info_that_cannot_be_sent_raises() -> None:
    with pytest.raises(PayloadError):
        sign_presence(OURS, "1.1", "presence-x", User(pk=1), {"id": 1, "who": User(pk=1)})


@dataclass
class Card:
    id: int
    name: str


class CardSerializer(serializers.Serializer[Card]):
    id = serializers.IntegerField()


class Badge(msgspec.Struct):
    id: int
    _secret: str = "x"


class Dumps:
    def model_dump(self) -> dict[str, Any]:
        return {"id": 3}


@pytest.mark.parametrize(
    ("result", "info"),
    [
        ({"id": 1}, {"id": 1}),
        (Card(id=2, name="Ada"), {"id": 2, "name": "Ada"}),
        (Dumps(), {"id": 3}),
        (Badge(id=4), {"id": 4}),
        (CardSerializer(Card(id=5, name="Ada")), {"id": 5}),
        (CardSerializer([Card(id=5, name="Ada")], many=True), {"id": 7}),  # type: ignore[arg-type]
        (True, {"id": 7}),
        # Truthy by accident; none of it is meant to be shown.
        ("yes", {"id": 7}),
        (User(pk=8, username="secret"), {"id": 7}),
        (Card, {"id": 7}),
        ([{"id": 9}], {"id": 7}),
    ],
)
def test_only_what_is_meant_as_data_is_shown_to_others(result: Any, info: dict[str, Any]) -> None:
    assert member_info(result, User(pk=7), "a.rule") == info


def test_a_bare_true_for_presence_is_warned_about_in_debug(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    member_info(True, User(pk=7), "shop.channels.room")
    assert not caplog.records
    settings.DEBUG = True
    member_info(True, User(pk=7), "shop.channels.room")
    assert "shop.channels.room returned bool for a presence channel" in caplog.text


def test_our_own_server_accepts_the_answers() -> None:
    server = Protocol(OURS.application, "123.456", now=0)
    private = sign_private(OURS, "123.456", "private-orders.1", User(pk=7))
    server.authorize(Subscribe(channel="private-orders.1", **private))
    with pytest.raises(SubscriptionRefused):
        server.authorize(Subscribe(channel="private-orders.1", auth=private["auth"]))
    info = {"id": 7, "name": "Ada \N{GRINNING FACE}"}
    presence = sign_presence(OURS, "123.456", "presence-chat.1", User(pk=7), info)
    member = server.authorize(Subscribe(channel="presence-chat.1", **presence))
    assert member == Member(user_id="7", user_info=info)


def _configure(settings: Any, **changes: Any) -> None:
    settings.BROADCASTING = {**settings.BROADCASTING, **changes}


def test_the_first_application_signs_by_default() -> None:
    signer = find_signer()
    assert (signer.application.key, signer.ours) == ("app-key", True)


@pytest.mark.parametrize(
    ("entry", "key", "ours"),
    [
        ({"BACKEND": "channels", "OPTIONS": {"application": "second"}}, "second-key", True),
        ({"BACKEND": "log"}, "app-key", True),
        ({"BACKEND": "null"}, "app-key", True),
        ({"BACKEND": "my.Driver"}, "app-key", True),
        (
            {"BACKEND": "pusher", "OPTIONS": {"app_id": "1", "key": "k", "secret": "s"}},
            "k",
            False,
        ),
    ],
)
def test_the_default_broadcasters_application_signs(
    settings: Any, entry: dict[str, Any], key: str, ours: bool
) -> None:
    _configure(settings, BROADCASTERS={"default": {"BACKEND": "null"}, "it": entry})
    _configure(settings, DEFAULT_BROADCASTER="it")
    signer = find_signer()
    assert (signer.application.key, signer.ours) == (key, ours)


@pytest.mark.parametrize("ours", [True, False])
def test_a_server_of_ours_behind_http_is_told_whose_a_private_channel_is(
    settings: Any, ours: bool
) -> None:
    options = {"app_id": "9", "key": "far-key", "secret": "far-secret", "ours": ours}
    far = {"default": {"BACKEND": "pusher", "OPTIONS": options}}
    settings.BROADCASTING = settings.BROADCASTING | {"BROADCASTERS": far}
    signer = find_signer()
    assert (signer.application.key, signer.ours) == ("far-key", ours)
    answer = sign_private(signer, "1.2", "private-a", User(pk=7))
    assert answer["auth"].startswith("far-key:")
    assert ("channel_data" in answer) is ours
