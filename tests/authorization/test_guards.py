from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponseForbidden
from django.test import Client
from django.utils.functional import SimpleLazyObject

from broadcasting.authorization import Identity, authorize, channel
from broadcasting.authorization.rules import Routes

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")
HERE = "tests.authorization.test_guards"


def by_token(request: HttpRequest) -> User | None:
    """Find the user of ``Authorization: Bearer <name>``."""
    asked.append("token")
    return {"Bearer ada": ADA, "Bearer bob": BOB}.get(request.headers.get("Authorization", ""))


async def by_async_token(request: HttpRequest) -> User | None:
    return by_token(request)


def nobody(request: HttpRequest) -> AnonymousUser:
    asked.append("nobody")
    return AnonymousUser()


class Unauthenticated(Exception):
    status_code = 401


class TokenAuthentication:
    """The shape of Django REST framework's classes."""

    def authenticate(self, request: HttpRequest) -> tuple[User, str] | None:
        header = request.headers.get("Authorization")
        if header == "Bearer wrong":
            raise Unauthenticated("Invalid token")
        if header == "Bearer crash":
            raise RuntimeError
        return (ADA, "token") if header else None


asked: list[str] = []


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


def _request(user: Any = None, token: str | None = None) -> HttpRequest:
    request = HttpRequest()
    request.user = user
    if token:
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return request


def _find(guards: Any, user: Any = None, token: str | None = None) -> Any:
    return Identity(_request(user, token)).user(guards)


def test_the_session_guard_is_the_requests_user() -> None:
    assert _find(["session"], ADA) is ADA
    assert _find(["session"], AnonymousUser()) is None
    assert Identity(HttpRequest()).user(["session"]) is None


@pytest.mark.parametrize(
    "guard", [f"{HERE}.by_token", f"{HERE}.by_async_token", by_token, by_async_token]
)
def test_a_callable_finds_the_user_of_a_request(guard: Any) -> None:
    assert _find([guard], token="bob") is BOB
    assert _find([guard], token="eve") is None


@pytest.mark.parametrize(
    "guard", [f"{HERE}.TokenAuthentication", TokenAuthentication, TokenAuthentication()]
)
def test_an_authentication_class_of_rest_framework_works(guard: Any) -> None:
    assert _find([guard], token="x") is ADA
    assert _find([guard]) is None
    assert _find([guard, "session"], BOB, token="wrong") is BOB
    with pytest.raises(RuntimeError):
        _find([guard], token="crash")


def test_rest_frameworks_own_classes_get_its_own_kind_of_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Request:
        def __init__(self, request: HttpRequest) -> None:
            self._request = request

    class SessionAuthentication:
        def authenticate(self, request: Request) -> tuple[Any, None]:
            return request._request.user, None

    SessionAuthentication.__module__ = "rest_framework.authentication"
    # It is no dependency, not even of the tests.
    for name in ("rest_framework", "rest_framework.request"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["rest_framework.request"], "Request", Request, raising=False)
    assert _find([SessionAuthentication], ADA) is ADA


def test_guards_are_tried_in_order_and_the_first_user_wins() -> None:
    """App 13: guards order."""
    assert _find([nobody, by_token, "session"], ADA, token="bob") is BOB
    assert asked == ["nobody", "token"]
    assert _find(["session", by_token], ADA, token="bob") is ADA
    assert asked == ["nobody", "token"]


def test_a_guard_is_asked_once_a_request() -> None:
    identity = Identity(_request(token="bob"))
    for _ in range(3):
        assert identity.user([nobody, by_token]) is BOB
    assert asked == ["nobody", "token"]


def test_an_unknown_guard_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'no\.such\.guard'"):
        _find(["no.such.guard"])


def test_a_rules_guards_replace_those_of_the_settings(rules: Routes) -> None:
    @channel("a", guards=by_token)
    @channel("b", guards=[f"{HERE}.by_token", "session"])
    @channel("c")
    def rule(user: User) -> bool:
        return user.pk == 2

    assert authorize(_request(BOB), "private-a", "1.1").status == 403
    assert authorize(_request(ADA, "bob"), "private-a", "1.1").allowed
    assert authorize(_request(BOB), "private-b", "1.1").allowed
    assert authorize(_request(ADA, "bob"), "private-c", "1.1").status == 403


def test_the_guards_of_the_settings_are_the_default(rules: Routes, settings: Any) -> None:
    settings.BROADCASTING = {
        **settings.BROADCASTING,
        "AUTHORIZATION": {"GUARDS": [f"{HERE}.by_token"]},
    }

    @channel("a")
    def rule(user: User) -> bool:
        return user.pk == 2

    assert authorize(_request(BOB), "private-a", "1.1").status == 403
    assert authorize(_request(None, "bob"), "private-a", "1.1").allowed


def test_each_pattern_is_asked_with_its_own_guards(rules: Routes) -> None:
    seen: list[int] = []

    @channel("a.{x}", guards="session")
    def first(user: User, x: str) -> None:
        seen.append(user.pk)

    @channel("a.{y}", guards=by_token)
    def second(user: User, y: str) -> bool:
        seen.append(user.pk)
        return True

    assert authorize(_request(ADA, "bob"), "private-a.1", "1.1").allowed
    assert seen == [1, 2]
    # Nobody, by the guards of a rule that wants somebody: no later rule makes up for it.
    assert authorize(_request(None, "bob"), "private-a.1", "1.1").status == 403


def test_a_guard_may_deny(rules: Routes) -> None:
    def banned(request: HttpRequest) -> User:
        raise PermissionDenied("banned")

    @channel("a", guards=[banned, "session"])
    def rule(user: User) -> bool:
        return True

    decision = authorize(_request(ADA), "private-a", "1.1")
    assert (decision.status, "banned" in decision.reason) == (403, True)


def test_a_bearer_token_works_through_the_view(client: Client, rules: Routes) -> None:
    @channel("a", guards=by_token)
    def rule(user: User) -> bool:
        return True

    data = {"socket_id": "1.1", "channel_name": "private-a"}
    good = client.post("/broadcasting/auth", data, headers={"Authorization": "Bearer ada"})
    known = json.loads(good.json()["channel_data"])
    assert known["user_id"] == "1"
    assert "session" not in known
    assert client.post("/broadcasting/auth", data).status_code == 403


@pytest.mark.parametrize("nobody", [lambda: None, lambda: False, lambda: True, lambda: 0])
def test_a_lazy_user_that_is_nobody_is_a_guest(rules: Routes, nobody: Any) -> None:
    channel("a")(lambda user: True)
    lazy = SimpleLazyObject(nobody)
    assert authorize(_request(lazy), "private-a", "1.1").status == 403


def test_the_session_takes_users_only(rules: Routes) -> None:
    channel("a")(lambda user: True)
    assert authorize(_request(object()), "private-a", "1.1").status == 403


@pytest.mark.parametrize("answer", [False, True, 0, 0.5, "", b""])
def test_a_guard_that_answers_a_question_names_nobody(rules: Routes, answer: Any) -> None:
    channel("a", guards=[lambda request: answer])(lambda user: True)
    assert authorize(_request(ADA), "private-a", "1.1").status == 403


@pytest.mark.parametrize(("guards", "seen"), [([by_token], None), (["session"], 1)])
def test_a_guest_is_not_whom_another_guard_would_have_found(
    rules: Routes, guards: list[Any], seen: int | None
) -> None:
    users: list[Any] = []

    @channel("a", guards=guards, allow_anonymous=True)
    def rule(user: Any) -> bool:
        users.append(user)
        return True

    decision = authorize(_request(ADA), "private-a", "1.1")
    assert decision.allowed
    assert [user.pk for user in users] == [seen]
    assert ("channel_data" in (decision.answer or {})) is (seen is not None)


@pytest.mark.parametrize("guard", [["session"], 7, f"{HERE}.HERE"])
def test_a_guard_that_cannot_be_called_is_a_mistake(rules: Routes, guard: Any) -> None:
    channel("a", guards=[guard])(lambda user: True)
    decision = authorize(_request(ADA), "private-a", "1.1")
    assert decision.status == 500
    assert isinstance(decision.error, ImproperlyConfigured)


@pytest.mark.parametrize("known", [True, False])
def test_is_authenticated_may_be_a_method(rules: Routes, known: bool) -> None:
    class Visitor:
        pk = 7

        def is_authenticated(self) -> bool:
            return known

    channel("a", guards=[lambda request: Visitor()])(lambda user: True)
    assert authorize(_request(), "private-a", "1.1").allowed is known


def test_a_user_that_counts_as_empty_is_a_user(rules: Routes) -> None:
    class Team(list[int]):
        is_authenticated = True
        pk = 7

    channel("a", guards=[lambda request: Team()])(lambda user: True)
    assert authorize(_request(), "private-a", "1.1").allowed


@pytest.mark.parametrize(
    "returned",
    [
        lambda: User.objects.none(),
        lambda: User.objects,
        lambda: HttpResponseForbidden(),
        lambda: (None, "why"),
        lambda: [],
        lambda: {},
        lambda: iter(()),
        lambda: ValueError("no such token"),
        lambda: nobody,
        lambda: User,
    ],
)
def test_what_is_no_user_lets_nobody_in(rules: Routes, returned: Any) -> None:
    channel("a", guards=[lambda request: returned()])(lambda user: True)
    decision = authorize(_request(), "private-a", "1.1")
    assert decision.status == 500
    assert "which is no user" in decision.reason


class Device(NamedTuple):
    serial: int


@pytest.mark.parametrize("device", [object(), {"serial": 7}, Device(7)])
def test_a_guard_may_find_something_of_its_own(rules: Routes, device: Any) -> None:
    channel("a", guards=[lambda request: device])(lambda user: user is device)
    assert authorize(_request(), "private-a", "1.1").allowed
