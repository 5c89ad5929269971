"""The auth views of Django REST framework: its users, its throttles, our answers."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import path
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.throttling import UserRateThrottle

from broadcasting import channel
from broadcasting.contrib.drf.auth import BroadcastingAuthView, BroadcastingUserAuthView
from broadcasting.protocol.signing import channel_text, sign

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("rules", "finding", "resolving"),
    pytest.mark.urls(__name__),
]

NAME = "private-orders.7"
FORM = {"socket_id": "1.1", "channel_name": NAME}


class Often(UserRateThrottle):
    rate = "2/day"


class ByToken(BroadcastingAuthView):
    authentication_classes = (TokenAuthentication,)


class BySession(BroadcastingAuthView):
    authentication_classes = (SessionAuthentication,)


class Throttled(ByToken):
    throttle_classes = (Often,)


class Members(ByToken):
    permission_classes = (IsAuthenticated,)


class Users(BroadcastingUserAuthView):
    authentication_classes = (TokenAuthentication,)


urlpatterns = [
    path("auth", ByToken.as_view()),
    path("<str:via>/auth", ByToken.as_view()),
    path("session", BySession.as_view()),
    path("throttled", Throttled.as_view()),
    path("members", Members.as_view()),
    path("users", Users.as_view()),
]


@pytest.fixture(autouse=True)
def rule(rules: Any) -> None:
    @channel("orders.{order}")
    def own(user: User, order: int) -> bool:
        return order == user.pk

    @channel("news.{topic}", allow_anonymous=True)
    def news(user: Any, topic: str) -> bool:
        return True

    @channel("chat")
    async def chat(user: User) -> dict[str, Any]:
        return {"id": user.pk}


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", pk=7)


@pytest.fixture
def token(ada: User) -> dict[str, str]:
    return {"Authorization": f"Token {Token.objects.create(user=ada).key}"}


@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_who_has_a_token_is_answered(client: Client, token: Any, content_type: Any) -> None:
    more = {} if content_type is None else {"content_type": content_type}
    response = client.post("/auth", FORM, headers=token, **more)
    body = response.json()
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert "no-store" in response["Cache-Control"]
    text = channel_text("1.1", NAME, body["channel_data"])
    assert body["auth"] == f"app-key:{sign('app-secret', text)}"


def test_many_channels_and_other_broadcasters_are_answered(client: Client, token: Any) -> None:
    names = [NAME, "private-orders.8", "presence-chat"]
    data = {"socket_id": "1.1", "channel_name[]": names}
    answers = client.post("/auth", data, headers=token).json()
    assert [answers[name]["status"] for name in names] == [200, 403, 200]
    assert client.post("/log/auth", FORM, headers=token).status_code == 200
    assert client.post("/nothing/auth", FORM, headers=token).status_code == 404


@pytest.mark.parametrize("accept", ["text/html", "image/png", "*/*"])
def test_guests_are_refused_and_never_redirected(client: Client, accept: str) -> None:
    response = client.post("/auth", FORM, headers={"Accept": accept})
    assert response.status_code == 403
    assert response.json() == {"message": "This channel may not be joined."}
    public = {**FORM, "channel_name": "private-news.a"}
    assert client.post("/auth", public).status_code == 200


def test_a_wrong_token_is_told_so(client: Client, token: Any) -> None:
    response = client.post("/auth", FORM, headers={"Authorization": "Token x"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token")


def test_a_session_counts_only_where_the_view_says_so(client: Client, ada: User) -> None:
    client.force_login(ada)
    assert client.post("/auth", FORM).status_code == 403
    assert client.post("/session", FORM).status_code == 200


def test_the_guards_of_the_settings_are_not_asked(client: Client, settings: Any) -> None:
    authorization = {"GUARDS": ["tests.liveapp.guards.no_such_guard"]}
    settings.BROADCASTING = settings.BROADCASTING | {"AUTHORIZATION": authorization}
    assert client.post("/auth", FORM).status_code == 403


def test_the_guards_of_a_rule_are(client: Client, token: Any) -> None:
    device = User(pk=3, username="device")

    @channel("devices", guards=[lambda request: device])
    def rule(user: Any) -> bool:
        return user is device

    data = {**FORM, "channel_name": "private-devices"}
    assert client.post("/auth", data, headers=token).status_code == 200


def test_echo_and_django_say_csrf_tokens_alike(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert client.post("/session", FORM).status_code == 403
    client.cookies["csrftoken"] = "a" * 32
    for header in ("X-CSRF-TOKEN", "X-CSRFToken"):
        assert client.post("/session", FORM, headers={header: "a" * 32}).status_code == 200


def test_throttles_count_requests(client: Client, token: Any) -> None:
    cache.clear()
    names = {"socket_id": "1.1", "channel_name[]": [NAME] * 50}
    assert [client.post("/throttled", names, headers=token).status_code for _ in range(2)] == [
        200,
        200,
    ]
    response = client.post("/throttled", FORM, headers=token)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0


def test_permission_classes_are_there_for_the_asking(client: Client, token: Any) -> None:
    public = {**FORM, "channel_name": "private-news.a"}
    assert client.post("/members", public).status_code == 401
    assert client.post("/members", public, headers=token).status_code == 200


def test_users_sign_in(client: Client, token: Any) -> None:
    response = client.post("/users", {"socket_id": "1.1"}, headers=token)
    assert response.json()["user_data"] == '{"id":"7"}'
    assert client.post("/users", {"socket_id": "1.1"}).status_code == 403
    assert client.post("/users", {"socket_id": "x"}, headers=token).status_code == 400


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"x" * 9000, "application/json", 400),
        (b'{"socket_id": "1.1", "x": "' + b"x" * 9000 + b'"}', "application/json", 413),
        (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"socket_id=1.1", "application/x-www-form-urlencoded", 403),
        (b"channel_name=private-a", "text/plain", 400),
    ],
)
def test_what_cannot_be_read_is_answered_alike(
    client: Client, settings: Any, token: Any, data: bytes, content_type: str, status: int
) -> None:
    response = client.post("/auth", data, content_type=content_type, headers=token)
    assert response.status_code == status
    settings.ROOT_URLCONF = "tests.urls"
    ours = client.post("/broadcasting/auth", data, content_type=content_type)
    assert (ours.status_code, ours.json()) == (status, response.json())


def test_nothing_but_post_is_answered(client: Client) -> None:
    assert client.get("/auth").status_code == 405
    assert client.options("/auth").status_code == 405


def test_a_site_that_wants_logins_everywhere_does_not_redirect_it(
    client: Client, settings: Any
) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    assert client.post("/auth", FORM).status_code == 403


FORGERIES = [
    ('1.1::user::{"id":"1","x":"', 'private-news.a"}'),
    ('1.1:presence-chat:{"user_id":"1","x":"', 'private-news.a"}'),
    ("1.1", 'private-news.a"}'),
    ("1.1", "private-news.a:b"),
    ("1.1\n", "private-news.a"),
]


@pytest.mark.parametrize(("socket_id", "name"), FORGERIES)
def test_it_signs_no_forgery(client: Client, token: Any, socket_id: str, name: str) -> None:
    """App 14: the same boundary as in Django's own view."""
    one = client.post("/auth", {"socket_id": socket_id, "channel_name": name}, headers=token)
    many = client.post("/auth", {"socket_id": socket_id, "channel_name[]": name}, headers=token)
    json = {"content_type": "application/json"}
    data = {"socket_id": socket_id, "channel_name": [name]}
    as_json = client.post("/auth", data, headers=token, **json)  # type: ignore[arg-type]
    assert one.status_code == 400
    for response in (one, many, as_json):
        assert b"auth" not in response.content.replace(b"authorization", b"")
    assert client.post("/users", {"socket_id": socket_id}, headers=token).status_code == (
        200 if socket_id == "1.1" else 400
    )
