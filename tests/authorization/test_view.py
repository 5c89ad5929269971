from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import MessageEncoder
from django.contrib.sessions.backends.db import SessionStore
from django.test import AsyncClient, Client, RequestFactory
from time_machine import travel

from broadcasting.authorization import channel
from broadcasting.authorization.rules import Routes
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import channel_text, verify_authorization
from broadcasting.views import auth
from tests.authorization.conftest import Ask

pytestmark = pytest.mark.django_db

APPLICATION = Application(id="app", key="app-key", secret="app-secret")
URL = "/broadcasting/auth"


@pytest.fixture
def user(client: Client) -> User:
    user = User.objects.create_user("ada", pk=7)
    client.force_login(user)
    return user


@pytest.fixture(autouse=True)
def some_rules(rules: Routes) -> Routes:
    @channel("orders.{order}")
    def own(user: User, order: int) -> bool:
        return order == user.pk

    @channel("chat.{room}")
    async def chat(user: User, room: str) -> dict[str, Any]:
        return {"id": user.pk, "name": user.username}

    @channel("broken")
    def broken(user: User) -> bool:
        raise RuntimeError("a secret detail")

    return rules


def _verified(body: dict[str, str], name: str, socket_id: str = "123.456") -> bool:
    text = channel_text(socket_id, name, body.get("channel_data"))
    return verify_authorization(APPLICATION, text, body["auth"])


@pytest.mark.django_db(transaction=True)
async def test_it_works_under_asgi_with_an_async_rule(async_client: AsyncClient) -> None:
    """App 13: async rules."""
    user = await User.objects.acreate(username="bob")
    await async_client.aforce_login(user)

    @channel("rooms.{owner}")
    async def rooms(user: User, owner: str) -> bool:
        return await User.objects.filter(pk=user.pk, username=owner).aexists()

    names = ["private-rooms.bob", "private-rooms.eve"]
    response = await async_client.post(URL, {"socket_id": "1.1", "channel_name[]": names})
    assert [entry["status"] for entry in response.json().values()] == [200, 403]


def test_a_private_channel_is_signed_with_its_user(user: User, ask: Ask) -> None:
    """App 13: 200 for a private channel."""
    response = ask("private-orders.7")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    body = response.json()
    known = json.loads(body["channel_data"])
    assert known.keys() == {"user_id", "at", "session"}
    assert known["user_id"] == "7"
    assert _verified(body, "private-orders.7")
    assert set(body) == {"auth", "channel_data"}


def test_a_presence_channel_is_signed_with_its_member(user: User, ask: Ask) -> None:
    """App 13: 200 for a presence channel, whose ids are text."""
    body = ask("presence-chat.1").json()
    assert json.loads(body["channel_data"]) == {
        "user_id": "7",
        "user_info": {"id": 7, "name": "ada"},
    }
    assert _verified(body, "presence-chat.1")


def test_what_members_show_is_bounded_and_a_bare_true_shows_their_id(user: User, ask: Ask) -> None:
    bio = "x"

    @channel("bios.{room}")
    def bios(user: User, room: str) -> Any:
        return {"id": user.pk, "bio": bio}

    @channel("bare")
    def bare(user: User) -> bool:
        return True

    assert ask("presence-bios.1").status_code == 200
    bio = "x" * 1024
    assert ask("presence-bios.1").status_code == 403
    # Nothing of it is shown to anybody there.
    assert ask("private-bios.1").status_code == 200
    body = ask("presence-bare").json()
    assert json.loads(body["channel_data"]) == {"user_id": "7", "user_info": {"id": 7}}


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_works_as_a_form_does(user: User, client: Client, content_type: str) -> None:
    """App 13: JSON."""
    data = json.dumps({"socket_id": "123.456", "channel_name": "private-orders.7"})
    response = client.post(URL, data, content_type=content_type)
    assert _verified(response.json(), "private-orders.7")


def test_a_urlencoded_form_works(user: User, client: Client) -> None:
    """App 13: form."""
    data = "socket_id=123.456&channel_name=private-orders.7&custom=param"
    response = client.post(URL, data, content_type="application/x-www-form-urlencoded")
    assert _verified(response.json(), "private-orders.7")


def test_the_query_works_and_the_body_wins(user: User, client: Client) -> None:
    """App 13: query."""
    response = client.post(f"{URL}?socket_id=123.456&channel_name=private-orders.7")
    assert _verified(response.json(), "private-orders.7")
    response = client.post(
        f"{URL}?socket_id=1.1&channel_name=private-orders.8",
        {"socket_id": "123.456", "channel_name": "private-orders.7"},
    )
    assert _verified(response.json(), "private-orders.7")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_allowed(client: Client, method: str) -> None:
    """App 13: answered with 405."""
    response = getattr(client, method)(URL)
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "socket_id",
    [
        None,
        "",
        "abc",
        "123",
        "123.456\n",
        "1.2.3",
        " 1.2",
        "1:2",
        "\N{FULLWIDTH DIGIT ONE}.2",
        "-1.2",
    ],
)
def test_a_malformed_socket_id_is_400(user: User, ask: Ask, socket_id: str | None) -> None:
    """App 13: answered with 400."""
    response = ask("private-orders.7", socket_id)
    assert response.status_code == 400
    assert response.json() == {"message": "socket_id is malformed"}


@pytest.mark.parametrize(
    "name", ["private-orders.7\n", "private-a b", "private-ü", 'private-"', "private-" + "a" * 200]
)
def test_malformed_channel_characters_are_400(user: User, ask: Ask, name: str) -> None:
    """App 13: answered with 400."""
    response = ask(name)
    assert response.status_code == 400
    assert response.json() == {"message": "the channel name is malformed"}


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "orders.7",  # public
        "private-orders.8",  # the rule says no
        "private-orders.abc",  # no number
        "private-nothing.7",  # no rule
        "private-encrypted-orders.7",  # no key
        "private-",
        "presence-orders.8",
    ],
)
def test_everything_refused_is_403_in_the_same_words(
    user: User, ask: Ask, name: str | None
) -> None:
    """App 13: answered with 403."""
    response = ask(name)
    assert response.status_code == 403
    assert response.json() == {"message": "This channel may not be joined."}


def test_a_guest_is_403_and_not_sent_to_a_login_page(ask: Ask) -> None:
    """App 13: a guest."""
    assert ask("private-orders.7").status_code == 403


def test_a_site_that_demands_logins_does_not_redirect(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    assert ask("private-orders.7").status_code == 403


def test_the_reason_is_always_logged_and_shown_in_debug_only(
    user: User, ask: Ask, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ask("private-orders.8")
    lines = [r for r in caplog.records if r.name == "broadcasting.authorization"]
    assert len(lines) == 1
    assert "'private-orders.8'" in lines[0].getMessage()
    assert "own returned False for user 7" in lines[0].getMessage()
    settings.DEBUG = True
    assert "own returned False for user 7" in ask("private-orders.8").json()["message"]


def test_a_missing_channel_name_is_logged(
    user: User, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    ask(None)
    assert "names no channel" in caplog.text


def test_a_rule_that_raises_is_500_with_a_traceback_in_the_log(
    user: User, ask: Ask, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    response = ask("private-broken")
    assert response.status_code == 500
    assert response.json() == {"message": "The channel's rule failed."}
    record = next(r for r in caplog.records if r.name == "broadcasting.authorization")
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    settings.DEBUG = True
    assert ask("private-broken").json() == {"message": "RuntimeError: a secret detail"}


def test_answers_are_not_cached(user: User, ask: Ask) -> None:
    assert "no-store" in ask("private-orders.7")["Cache-Control"]
    assert "no-store" in ask("private-orders.8")["Cache-Control"]


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", '"text"'),
        ("application/json", "[" * 5000),
        ("application/json", '{"socket_id": 1.2, "channel_name": "private-orders.7"}'),
        ("application/json", '{"socket_id": "1.2", "channel_name": 7}'),
        ("application/json", '{"socket_id": "1.2", "channel_name": {"a": 1}}'),
        ("application/json", '{"socket_id": "1.2", "channel_name": ["private-a", 7]}'),
        ("application/json", b"\xff\xfe\x00"),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "--y"),
        ("text/plain", "hello"),
        ("application/x-www-form-urlencoded", "a=1&" * 2000),
    ],
)
def test_a_body_that_cannot_be_read_is_400(
    user: User, client: Client, content_type: str, data: Any
) -> None:
    response = client.post(URL, data, content_type=content_type)
    assert response.status_code == 400
    assert "message" in response.json()


def test_a_body_is_bounded(user: User, client: Client) -> None:
    question = {"socket_id": "1.2", "channel_name": "private-orders.7"}
    for filler, status in ((7000, 200), (8300, 413), (70_000, 413)):
        body = json.dumps({**question, "x": "a" * filler})
        response = client.post(URL, body, content_type="application/json")
        assert response.status_code == status
        assert "auth" in response.json() or "message" in response.json()


def test_a_body_that_announces_no_length_is_bounded_too(rf: RequestFactory) -> None:
    request = rf.post(URL, b"x" * 70_000, content_type="application/json")
    request.META["CONTENT_LENGTH"] = ""
    request._body = b"x" * 70_000
    assert auth(request).status_code == 413


class TestManyChannels:
    NAMES = (
        "private-orders.7",
        "private-orders.8",
        "presence-chat.1",
        "bad name",
        "private-broken",
    )

    def _check(self, body: dict[str, Any]) -> None:
        assert {name: entry["status"] for name, entry in body.items()} == dict(
            zip(self.NAMES, (200, 403, 200, 400, 500), strict=True)
        )
        for name in ("private-orders.7", "presence-chat.1"):
            assert _verified(body[name]["data"], name)
        refused = body["private-orders.8"]["data"]
        assert refused == {"message": "This channel may not be joined."}

    def test_a_form_with_repeated_names(self, user: User, client: Client) -> None:
        response = client.post(URL, {"socket_id": "123.456", "channel_name[]": self.NAMES})
        assert response.status_code == 200
        self._check(response.json())

    def test_a_form_with_numbered_names(self, user: User, client: Client) -> None:
        numbered = {f"channel_name[{i}]": name for i, name in enumerate(self.NAMES)}
        self._check(client.post(URL, {"socket_id": "123.456", **numbered}).json())

    def test_a_form_that_repeats_the_plain_name(self, user: User, client: Client) -> None:
        response = client.post(URL, {"socket_id": "123.456", "channel_name": self.NAMES})
        self._check(response.json())

    def test_a_json_list(self, user: User, client: Client) -> None:
        data = {"socket_id": "123.456", "channel_name": self.NAMES}
        response = client.post(URL, data, content_type="application/json")
        assert response.status_code == 200
        self._check(response.json())

    def test_a_list_of_one_is_answered_as_many(self, user: User, client: Client) -> None:
        data = {"socket_id": "123.456", "channel_name[]": "private-orders.8"}
        response = client.post(URL, data)
        assert response.status_code == 200
        assert response.json()["private-orders.8"]["status"] == 403

    def test_an_empty_list_is_an_empty_answer(self, user: User, client: Client) -> None:
        data: dict[str, Any] = {"socket_id": "123.456", "channel_name": []}
        response = client.post(URL, data, content_type="application/json")
        assert (response.status_code, response.json()) == (200, {})

    def test_a_malformed_socket_id_is_400_for_all(self, user: User, client: Client) -> None:
        response = client.post(URL, {"socket_id": "nonsense", "channel_name[]": self.NAMES})
        assert response.status_code == 400
        assert response.json() == {"message": "socket_id is malformed"}

    def test_a_guest_gets_an_entry_for_each(self, client: Client) -> None:
        response = client.post(URL, {"socket_id": "1.1", "channel_name[]": self.NAMES[:3]})
        assert response.status_code == 200
        assert {entry["status"] for entry in response.json().values()} == {403}

    def test_100_long_names_are_fine_and_101_are_not(self, user: User, client: Client) -> None:
        names = [f"private-orders.{i:0180}" for i in range(1, 102)]
        response = client.post(URL, {"socket_id": "1.1", "channel_name[]": names[:100]})
        statuses = [entry["status"] for entry in response.json().values()]
        assert len(statuses) == 100
        assert sorted(set(statuses)) == [200, 403]
        response = client.post(URL, {"socket_id": "1.1", "channel_name[]": names})
        assert response.status_code == 400

    def test_the_user_is_loaded_once(
        self, user: User, client: Client, django_assert_num_queries: Any
    ) -> None:
        names = [f"private-orders.{i}" for i in range(40)]
        with django_assert_num_queries(2):  # the session, the user
            client.post(URL, {"socket_id": "1.1", "channel_name[]": names})


def test_session_and_messages_are_left_alone(user: User, client: Client, ask: Ask) -> None:
    """App 13: session and messages untouched."""
    session: Any = client.session
    session["_messages"] = json.dumps([Message(constants.INFO, "Saved.")], cls=MessageEncoder)
    session.save()
    before = SessionStore(session.session_key).load()
    response = ask("private-orders.7")
    assert response.status_code == 200
    assert not response.cookies
    assert SessionStore(session.session_key).load() == before


def test_a_length_that_is_no_number_is_a_bad_request(client: Client, user: User) -> None:
    assert client.post(URL, {"socket_id": "1.1"}, CONTENT_LENGTH="ten").status_code == 400


def test_an_answer_is_as_old_as_what_is_known_of_the_user(user: User, client: Client) -> None:
    """What is taken from a user while one rule thinks counts for the answers of all others."""
    with travel(time.time(), tick=False) as traveller:
        asked_at = time.time_ns() // 1_000_000

        @channel("slow.{number}")
        def slow(user: User, number: str) -> bool:
            traveller.shift(60)
            return True

        names = ["private-slow.1", "private-slow.2"]
        response = client.post(URL, {"socket_id": "1.1", "channel_name[]": names})
    answers = [json.loads(entry["data"]["channel_data"]) for entry in response.json().values()]
    assert [answer["at"] for answer in answers] == [asked_at, asked_at]
