"""What clients of other servers are asked and answered."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from broadcasting import channel
from broadcasting.authorization.rules import Routes
from broadcasting.testing import channel_auth

DEFAULT, NAMED = "/broadcasting/auth", "/broadcasting/echo/auth"


@pytest.fixture(autouse=True)
def two_broadcasters(settings: Any, rules: Routes) -> None:
    """``channels`` as the default one, and one for laravel-echo-server."""

    @channel("orders.{number}")
    def orders(user: User, number: int, socket_id: str = "") -> bool:
        return number != 13

    @channel("chat.{room}")
    def chat(user: User, room: str) -> dict[str, Any]:
        return {"id": user.pk, "name": user.username, "worth": Decimal("1.50")}

    redis = {"BACKEND": "redis", "OPTIONS": {"url": "redis://localhost", "prefix": "app_"}}
    broadcasters = {"default": {"BACKEND": "channels"}, "echo": redis}
    settings.BROADCASTING = {**settings.BROADCASTING, "BROADCASTERS": broadcasters}


@pytest.fixture
def ada(client: Client, db: None) -> User:
    user = User.objects.create_user("ada")
    client.force_login(user)
    return user


def test_a_server_that_asks_for_its_clients_names_no_socket(ada: User, client: Client) -> None:
    answer = client.post(NAMED, {"channel_name": "private-orders.1"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() is True


def test_members_are_told_to_it_as_an_object(ada: User, client: Client) -> None:
    answer = client.post(NAMED, {"channel_name": "presence-chat.1"})
    info = {"id": ada.pk, "name": "ada", "worth": "1.50"}
    assert answer.json() == {"channel_data": {"user_id": str(ada.pk), "user_info": info}}


@pytest.mark.parametrize("name", ["app_private-orders.1", "private-orders.1"])
def test_the_prefix_is_no_part_of_a_channels_name(ada: User, client: Client, name: str) -> None:
    assert client.post(NAMED, {"channel_name": name}).json() is True


def test_a_prefix_may_be_none(ada: User, client: Client, settings: Any) -> None:
    redis = {"BACKEND": "redis", "OPTIONS": {"url": "redis://localhost", "prefix": None}}
    settings.BROADCASTING = {**settings.BROADCASTING, "BROADCASTERS": {"echo": redis}}
    assert client.post(NAMED, {"channel_name": "private-orders.1"}).json() is True


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("private-orders.13", 403),
        ("app_private-orders.13", 403),
        ("private-unknown", 403),
        ("private-orders.x", 403),
        ("news", 403),
        ("app_app_private-orders.1", 403),
        ("private-encrypted-orders.1", 403),
        ("private-orders.1:presence", 400),
        ("private-orders.*", 400),
        ("x" * 201, 400),
        ("", 403),
    ],
)
def test_the_rules_are_asked_all_the_same(
    ada: User, client: Client, name: str, status: int
) -> None:
    assert client.post(NAMED, {"channel_name": name}).status_code == status


def test_guests_stay_outside(db: None, client: Client) -> None:
    assert client.post(NAMED, {"channel_name": "private-orders.1"}).status_code == 403


def test_many_may_be_asked_at_once(ada: User, client: Client) -> None:
    names = ["private-orders.1", "app_private-orders.13"]
    answer = client.post(NAMED, json.dumps({"channel_name": names}), "application/json").json()
    assert answer["private-orders.1"] == {"status": 200, "data": True}
    assert answer["app_private-orders.13"]["status"] == 403


@pytest.mark.parametrize("url", [DEFAULT, "/broadcasting/default/auth"])
def test_clients_of_pusher_must_name_their_socket(ada: User, client: Client, url: str) -> None:
    form = {"channel_name": "private-orders.1"}
    assert client.post(url, form).status_code == 400
    assert client.post(url, form | {"socket_id": "1.1:x"}).status_code == 400
    assert client.post(url, form | {"socket_id": "1.1"}).json()["auth"].startswith("app-key:")


def test_each_broadcaster_has_its_own_endpoint(ada: User, client: Client) -> None:
    assert reverse("broadcasting:auth", kwargs={"via": "echo"}) == NAMED
    form = {"channel_name": "private-orders.1", "socket_id": "1.1"}
    assert client.post(NAMED, form).json() is True
    assert client.post("/broadcasting/nobody/auth", form).status_code == 404
    assert client.get(NAMED).status_code == 405


def test_a_named_endpoint_signs_with_that_broadcasters_secret(
    ada: User, client: Client, settings: Any
) -> None:
    theirs = {"app_id": "1", "key": "their-key", "secret": "s", "host": "localhost"}
    broadcasters = {
        "default": {"BACKEND": "null"},
        "them": {"BACKEND": "pusher", "OPTIONS": theirs},
    }
    settings.BROADCASTING = {**settings.BROADCASTING, "BROADCASTERS": broadcasters}
    form = {"channel_name": "private-orders.1", "socket_id": "1.1"}
    assert client.post(DEFAULT, form).json()["auth"].startswith("app-key:")
    assert client.post("/broadcasting/them/auth", form).json()["auth"].startswith("their-key:")


def test_rules_are_tested_alike_whatever_the_dialect(ada: User, settings: Any) -> None:
    settings.BROADCASTING = {**settings.BROADCASTING, "DEFAULT_BROADCASTER": "echo"}
    assert channel_auth(ada, "private-orders.1").allowed
    assert channel_auth(ada, "private-orders.13").denied
    assert channel_auth(ada, "presence-chat.1").user_info == {
        "id": ada.pk,
        "name": "ada",
        "worth": Decimal("1.50"),
    }
