"""A signature for one thing must never be read as a signature for another."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.test import Client

from broadcasting import bind, include, route
from broadcasting.authorization import aauthorize, authorize, channel
from broadcasting.authorization.finders import Finders
from broadcasting.authorization.guards import KnownIdentity
from broadcasting.authorization.lists import register_lists
from broadcasting.authorization.rules import Routes
from broadcasting.authorization.users import UserResolver
from broadcasting.protocol.signing import channel_text, sign, user_text
from broadcasting.testing import channel_auth, user_auth

# What an attacker sends, who may join "private-news.{topic}" whatever the topic is.
SIGN_IN = ('123.456::user::{"id":"1","x":"', 'private-news.a"}')
PRESENCE = ('123.456:presence-chat.1:{"user_id":"1","x":"', 'private-news.a"}')


@pytest.fixture
def asked(rules: Routes) -> list[str]:
    """Every channel that the most generous rule was asked about."""
    seen: list[str] = []

    @channel("news.{topic}", allow_anonymous=True)
    def anything(user: Any, topic: str) -> bool:
        seen.append(topic)
        return True

    return seen


@pytest.fixture(params=["list", "prefix", "finder", "permission", "permission alone"])
def reached(request: Any, rules: Routes, finding: Finders) -> list[Any]:
    """Whatever was asked about ``news.{topic}``, by each way to say what it stands for."""
    seen: list[Any] = []

    def anything(user: Any, topic: Any) -> bool:
        seen.append(topic)
        return True

    def find(value: str) -> Any:
        seen.append(value)
        return Group(pk=1)

    if request.param.startswith("permission"):
        bind("topic", find)
    match request.param:
        case "list":
            entries: list[Any] = [route("news.{topic}", anything)]
        case "prefix":
            entries = [include([route("{topic}", anything)], prefix="news")]
        case "finder":
            bind("topic", find)
            entries = [route("news.{topic}", anything)]
        case "permission":
            entries = [route("news.{topic}", anything, perm="auth.view_group")]
        case _:
            entries = [route("news.{topic}", perm="auth.view_group")]
    channels = ModuleType("project.channels")
    channels.__dict__["channelpatterns"] = entries
    register_lists([channels])
    return seen


@pytest.mark.parametrize(("socket_id", "name"), [SIGN_IN, PRESENCE, ("1.1", SIGN_IN[1])])
def test_no_other_way_to_write_a_rule_lets_one_through(
    reached: list[Any], socket_id: str, name: str
) -> None:
    """App 14: with lists, finders and permissions, which are not even asked."""
    root = User(pk=1, username="root", is_superuser=True)
    decision = channel_auth(root, name, socket_id=socket_id)
    assert (decision.status, decision.answer, reached) == (400, None, [])
    assert channel_auth(root, "private-news.a").allowed
    assert reached


@pytest.mark.parametrize("broadcaster", ["redis", "ably"])
def test_other_servers_dialects_sign_none_either(
    client: Client, asked: list[str], settings: Any, broadcaster: str
) -> None:
    """App 14: the names that other servers' clients send are checked in the same place."""
    options = {"ably": {"key": "app.key:secret"}, "redis": {"url": "redis://127.0.0.1:1/0"}}
    entry = {"BACKEND": broadcaster, "OPTIONS": options[broadcaster]}
    known = {**settings.BROADCASTING["BROADCASTERS"], "other": entry}
    settings.BROADCASTING = settings.BROADCASTING | {"BROADCASTERS": known}
    for socket_id, name in (SIGN_IN, PRESENCE):
        data = {"socket_id": socket_id, "channel_name": name}
        response = client.post("/broadcasting/other/auth", data)
        assert response.status_code == 400
    assert asked == []


def test_a_users_own_id_cannot_leave_its_json(rules: Routes, resolving: UserResolver) -> None:
    """App 14: by what a user is known by."""

    class Clever:
        pk = 7
        is_authenticated = True

        def get_broadcast_id(self) -> str:
            return '1"},"x":"'

    channel("a")(lambda user: {"name": "x"})
    for name in ("private-a", "presence-a"):
        answer = channel_auth(Clever(), name).answer
        assert answer is not None
        assert json.loads(answer["channel_data"])["user_id"] == '1"},"x":"'
    user_data = user_auth(Clever()).answer
    assert user_data is not None
    assert json.loads(user_data["user_data"]) == {"id": '1"},"x":"'}


def test_unchecked_these_would_be_signatures_of_something_else() -> None:
    data = '{"id":"1","x":":private-news.a"}'
    assert channel_text(*SIGN_IN) == user_text("123.456", data)
    data = '{"user_id":"1","x":":private-news.a"}'
    assert channel_text(*PRESENCE) == channel_text("123.456", "presence-chat.1", data)


@pytest.mark.parametrize(("socket_id", "name"), [SIGN_IN, PRESENCE])
@pytest.mark.parametrize("form", ["one", "many", "json", "json list"])
def test_the_view_signs_no_forgery_and_asks_no_rule(
    client: Client, asked: list[str], socket_id: str, name: str, form: str
) -> None:
    """App 14: through the view."""
    data: dict[str, Any] = {"socket_id": socket_id, "channel_name": name}
    kwargs: dict[str, Any] = {}
    if form == "many":
        data = {"socket_id": socket_id, "channel_name[]": [name]}
    elif form.startswith("json"):
        kwargs = {"content_type": "application/json"}
        if form == "json list":
            data["channel_name"] = [name]
    response = client.post("/broadcasting/auth", data, **kwargs)
    assert response.status_code == 400
    assert response.json() == {"message": "socket_id is malformed"}
    assert asked == []
    assert sign("app-secret", channel_text(socket_id, name)).encode() not in response.content


@pytest.mark.parametrize(("socket_id", "name"), [SIGN_IN, PRESENCE])
async def test_neither_does_whoever_asks_the_core_directly(
    asked: list[str], socket_id: str, name: str
) -> None:
    """App 14: past the view."""
    request = HttpRequest()
    identity = KnownIdentity(request)
    for decision in (
        authorize(request, name, socket_id, identity=identity),
        authorize(request, name, "123.456", identity=identity),
        authorize(request, "private-news.a", socket_id, identity=identity),
        await aauthorize(request, name, socket_id, identity=identity),
    ):
        assert (decision.status, decision.answer) == (400, None)
    assert asked == []


@pytest.mark.parametrize(
    "name",
    ['private-news.a"}', "private-news.a:b", "private-news.a\n", "private-news.{x}", "::user::"],
)
def test_a_good_socket_id_does_not_carry_a_bad_name(
    client: Client, asked: list[str], name: str
) -> None:
    """App 14: by the name alone."""
    data = {"socket_id": "123.456", "channel_name": name}
    assert client.post("/broadcasting/auth", data).status_code == 400
    data = {"socket_id": "123.456", "channel_name[]": name}
    response = client.post("/broadcasting/auth", data)
    assert response.json()[name]["status"] == 400
    assert asked == []


def test_one_place_cannot_be_checked_and_another_signed(client: Client, asked: list[str]) -> None:
    """App 14: The query and the body are merged before anything is looked at."""
    url = f"/broadcasting/auth?socket_id={SIGN_IN[0]}"
    data = {"socket_id": "123.456", "channel_name": "private-news.a"}
    body = client.post(url, data).json()
    assert body["auth"].endswith(sign("app-secret", "123.456:private-news.a"))


def test_what_a_rule_returns_cannot_leave_its_json(rules: Routes) -> None:
    """App 14: by what is signed with it."""

    @channel("chat.{room}")
    def chat(user: User, room: str) -> dict[str, Any]:
        return {"id": '1"},"x":"', "name": '"}:presence-admin:{"user_id":"1"}'}

    request = HttpRequest()
    request.user = User(pk=7)
    answer = authorize(request, "presence-chat.1", "1.1").answer
    assert answer is not None
    assert json.loads(answer["channel_data"])["user_id"] == '1"},"x":"'
    assert answer["auth"].endswith(
        sign("app-secret", f"1.1:presence-chat.1:{answer['channel_data']}")
    )
