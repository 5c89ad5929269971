from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.urls import reverse

from broadcasting import user_resolver
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import user_text, verify_authorization

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("resolving")]

APPLICATION = Application(id="app", key="app-key", secret="app-secret")
URL = "/broadcasting/user-auth"
TOKEN = "a" * 32


def by_token(request: HttpRequest) -> User | None:
    return User.objects.filter(username=request.headers.get("X-Token")).first()


@pytest.fixture
def user(client: Client) -> User:
    user = User.objects.create_user("ada", pk=7)
    client.force_login(user)
    return user


def post(client: Client, socket_id: str | None = "123.456", **extra: Any) -> Any:
    return client.post(URL, {} if socket_id is None else {"socket_id": socket_id}, **extra)


def _verified(body: dict[str, str]) -> bool:
    assert body.keys() == {"auth", "user_data"}
    return verify_authorization(APPLICATION, user_text("123.456", body["user_data"]), body["auth"])


def test_it_has_a_name() -> None:
    assert reverse("broadcasting:user-auth") == URL


def test_a_form_and_json_get_the_signed_answer(user: User, client: Client) -> None:
    response = post(client)
    assert response.status_code == 200
    assert response.json()["user_data"] == '{"id":"7"}'
    assert _verified(response.json())
    data = json.dumps({"socket_id": "123.456"})
    assert _verified(client.post(URL, data, content_type="application/json").json())


@pytest.mark.django_db(transaction=True)
async def test_it_works_under_asgi_with_an_async_resolver(async_client: AsyncClient) -> None:
    @user_resolver
    async def resolve(user: User) -> dict[str, Any]:
        return {"id": user.username}

    await async_client.aforce_login(await User.objects.acreate(username="bob"))
    response = await async_client.post(URL, {"socket_id": "123.456"})
    assert _verified(response.json())
    assert response.json()["user_data"] == '{"id":"bob"}'


@pytest.mark.parametrize("socket_id", [None, "", "abc", "1.2\n", "1:2", "1.2::user::{}"])
def test_a_malformed_socket_id_is_400(user: User, client: Client, socket_id: str | None) -> None:
    response = post(client, socket_id)
    assert response.status_code == 400
    assert response.json() == {"message": "socket_id is malformed"}


def test_a_guest_is_403_and_not_sent_to_a_login_page(client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    response = post(client)
    assert response.status_code == 403
    assert response.json() == {"message": "You may not sign in."}


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_only_post_is_allowed(client: Client, method: str) -> None:
    response = getattr(client, method)(URL)
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_answers_are_not_cached(user: User, client: Client) -> None:
    assert "no-store" in post(client)["Cache-Control"]


def test_a_body_is_bounded(user: User, client: Client) -> None:
    for filler, status in ((7000, 200), (8300, 413), (70_000, 413)):
        body = json.dumps({"socket_id": "123.456", "x": "a" * filler})
        assert client.post(URL, body, content_type="application/json").status_code == status


def test_the_reason_is_logged_and_shown_in_debug_only(
    user: User, client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    user_resolver(lambda user: None)
    assert post(client).json() == {"message": "You may not sign in."}
    assert "returned None for user 7" in caplog.text
    settings.DEBUG = True
    assert "returned None for user 7" in post(client).json()["message"]


def test_a_resolver_that_raises_is_500(user: User, client: Client) -> None:
    user_resolver(lambda user: 1 / 0)
    response = post(client)
    assert response.status_code == 500
    assert response.json() == {"message": "The sign-in failed."}


def test_guards_find_the_user(client: Client, settings: Any) -> None:
    User.objects.create_user("bob", pk=8)
    guards = {"GUARDS": [f"{__name__}.by_token"]}
    settings.BROADCASTING = {**settings.BROADCASTING, "AUTHORIZATION": guards}
    assert post(client).status_code == 403
    response = post(client, headers={"X-Token": "bob"})
    assert response.json()["user_data"] == '{"id":"8"}'


def test_a_csrf_token_is_demanded_where_the_settings_say_so(settings: Any, user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies["csrftoken"] = TOKEN
    assert post(client).status_code == 200
    settings.BROADCASTING = {**settings.BROADCASTING, "AUTHORIZATION": {"CSRF": True}}
    assert post(client).status_code == 403
    # Echo's own name for the header.
    assert post(client, headers={"X-CSRF-TOKEN": TOKEN}).status_code == 200


def test_a_foreign_server_gets_its_own_signature(user: User, client: Client, settings: Any) -> None:
    options = {"app_id": "9", "key": "far-key", "secret": "far-secret", "cluster": "eu"}
    far = {"default": {"BACKEND": "pusher", "OPTIONS": options}}
    settings.BROADCASTING = settings.BROADCASTING | {"BROADCASTERS": far}
    body = post(client).json()
    application = Application(id="9", key="far-key", secret="far-secret")
    text = user_text("123.456", body["user_data"])
    assert verify_authorization(application, text, body["auth"])
    assert not verify_authorization(APPLICATION, text, body["auth"])


@pytest.mark.parametrize(
    ("backend", "options", "dialect"),
    [
        ("redis", {"url": "redis://localhost/0"}, "socket.io"),
        ("ably", {"key": "app.key:secret"}, "ably"),
    ],
)
def test_where_nobody_signs_in_that_is_said(
    user: User,
    client: Client,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    backend: str,
    options: dict[str, Any],
    dialect: str,
) -> None:
    others = {"default": {"BACKEND": backend, "OPTIONS": options}}
    settings.BROADCASTING = settings.BROADCASTING | {"BROADCASTERS": others}
    response = post(client)
    assert response.status_code == 403
    assert f"'default' sends: its clients speak '{dialect}'" in caplog.text
    settings.DEBUG = True
    assert "nobody signs in" in post(client).json()["message"]
