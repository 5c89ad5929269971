"""What a program says to take access away, and what is said for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models.signals import post_delete
from django.test import Client, RequestFactory, override_settings

import broadcasting
from broadcasting.authorization.answers import session_hash
from broadcasting.authorization.rules import routes
from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasters.channels import ChannelsBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BackplaneUnavailable, InvalidChannelName, NotSupported
from broadcasting.revocation import occasions
from tests.settings import BROADCASTING
from tests.testapp.models import Order

Told = list[tuple[Any, ...]]


class Remembering(BaseBroadcaster):
    """Keeps what it was asked to take away."""

    told: ClassVar[Told] = []
    down = False

    def broadcast(self, broadcast: Broadcast) -> None:
        raise NotImplementedError

    async def abroadcast(self, broadcast: Broadcast) -> None:
        raise NotImplementedError

    def revoke(self, user_id: str, channel: str) -> None:
        if self.down:
            raise BackplaneUnavailable("it is down")
        self.told.append((user_id, channel))

    async def arevoke(self, user_id: str, channel: str) -> None:
        self.revoke(user_id, channel)

    def disconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        if self.down:
            raise BackplaneUnavailable("it is down")
        self.told.append((user_id, reconnect, session))

    async def adisconnect(
        self, user_id: str, *, reconnect: bool = False, session: str | None = None
    ) -> None:
        self.disconnect(user_id, reconnect=reconnect, session=session)


class Unable(Remembering):
    revoke = BaseBroadcaster.revoke
    disconnect = BaseBroadcaster.disconnect


def using(driver: type[BaseBroadcaster], **more: Any) -> override_settings:
    name = f"{driver.__module__}.{driver.__name__}"
    aliases = {"default": {"BACKEND": name}, "other": {"BACKEND": "null"}}
    return override_settings(BROADCASTING=BROADCASTING | {"BROADCASTERS": aliases} | more)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setattr(Remembering, "told", [])
    with using(Remembering):
        yield Remembering.told


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", password="secret")


def test_a_user_is_an_id_text_or_a_model(told: Told) -> None:
    for user in (7, "7", User(pk=7)):
        broadcasting.revoke(user=user, channel="private-orders.1")
        broadcasting.disconnect(user=user)
    assert told == [("7", "private-orders.1"), ("7", False, None)] * 3


def test_a_channel_is_a_name_a_channel_or_a_model(told: Told) -> None:
    broadcasting.revoke(user=1, channel=broadcasting.PresenceChannel("chat.1"))
    broadcasting.revoke(user=1, channel=User(pk=3))
    assert told == [("1", "presence-chat.1"), ("1", "private-auth.User.3")]


async def test_the_async_twins_do_the_same(told: Told) -> None:
    await broadcasting.arevoke(user=1, channel="private-a")
    await broadcasting.adisconnect(user=1, reconnect=True)
    assert told == [("1", "private-a"), ("1", True, None)]


@pytest.mark.parametrize("channel", ["news", "#server-to-user-1"])
def test_what_has_no_guard_cannot_be_revoked(channel: str) -> None:
    with pytest.raises(InvalidChannelName, match="no guard"):
        broadcasting.revoke(user=1, channel=channel)


@pytest.mark.parametrize("user", ["", "x" * 129])
def test_an_id_that_no_user_can_have(user: str) -> None:
    with pytest.raises(ValueError, match="not a user id"):
        broadcasting.disconnect(user=user)


def test_another_broadcaster_can_be_named(told: Told) -> None:
    broadcasting.revoke(user=1, channel="private-a", via="other")
    assert told == []


def test_a_driver_that_cannot_says_so() -> None:
    with using(Unable), pytest.raises(NotSupported, match="Unable cannot"):
        broadcasting.disconnect(user=1)


def test_a_dead_backplane_is_raised_unless_it_is_to_be_rescued(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Remembering, "down", True)
    with pytest.raises(BackplaneUnavailable):
        broadcasting.revoke(user=1, channel="private-a")
    with using(Remembering, RESCUE=True):
        broadcasting.revoke(user=1, channel="private-a")
    assert "could not be revoked" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_is_said_at_once_and_after_the_commit(told: Told) -> None:
    """Until the commit a rule still lets the user in."""
    with transaction.atomic():
        broadcasting.revoke(user=1, channel="private-a")
        assert told == [("1", "private-a")]
    assert told == [("1", "private-a")] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [BackplaneUnavailable("down"), RuntimeError("broken")])
def test_what_fails_after_the_commit_keeps_nothing_from_others(
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail(*values: Any) -> None:
        raise error

    with transaction.atomic():
        broadcasting.revoke(user=1, channel="private-a")
        transaction.on_commit(lambda: told.append(("another",)))
        monkeypatch.setattr(Remembering, "revoke", fail)
    assert told == [("1", "private-a"), ("another",)]
    assert f"after the commit ({type(error).__name__}: {error})" in caplog.text


def test_a_logout_ends_its_own_session(ada: User, told: Told, client: Client) -> None:
    client.force_login(ada)
    key = client.session.session_key
    assert key is not None
    client.logout()
    told.clear()
    client.force_login(ada)
    request = client.get("/").wsgi_request
    request.user = ada
    import_module("django.contrib.auth").logout(request)
    assert told == [(str(ada.pk), False, session_hash(request.COOKIES["sessionid"]))]


def test_a_guests_logout_ends_nothing(db: None, told: Told, client: Client) -> None:
    client.logout()
    assert told == []


@pytest.mark.parametrize("update_fields", [None, ["password"]])
def test_a_new_password_ends_every_connection(
    ada: User, told: Told, update_fields: list[str] | None
) -> None:
    ada.set_password("another")
    ada.save(update_fields=update_fields)
    assert told == [(str(ada.pk), True, None)]


def test_a_user_who_is_not_active_any_more_is_disconnected(ada: User, told: Told) -> None:
    ada.is_active = False
    ada.save()
    ada.is_active = True
    ada.save()
    assert told == [(str(ada.pk), True, None)]


def test_a_proxy_of_the_user_model_is_watched(ada: User, told: Told) -> None:
    class Person(get_user_model()):  # type: ignore[misc]
        class Meta:
            app_label = "testapp"
            proxy = True

    person = Person.objects.get(pk=ada.pk)
    person.is_active = False
    person.save()
    assert told == [(str(ada.pk), True, None)]


def test_other_changes_of_a_user_ask_nothing_and_end_nothing(
    ada: User, told: Told, django_assert_num_queries: Any
) -> None:
    ada.is_active = False
    with django_assert_num_queries(1):
        ada.save(update_fields=["last_login"])
    ada.refresh_from_db()
    ada.save()
    lazy = User.objects.defer("password", "is_active").get(pk=ada.pk)
    with django_assert_num_queries(1):
        lazy.save()
    assert told == []


@pytest.mark.django_db(transaction=True)
def test_nothing_ends_before_the_commit_or_without_it(told: Told) -> None:
    user = User.objects.create_user("bob")
    user.is_active = False
    with transaction.atomic():
        user.save()
        transaction.set_rollback(True)
    assert told == []
    with transaction.atomic():
        user.save()
        assert told == []
    assert len(told) == 1


def test_a_dead_backplane_breaks_no_save_and_no_logout(
    ada: User, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Remembering, "down", True)
    client.force_login(ada)
    client.logout()
    ada.is_active = False
    ada.save()
    assert not User.objects.get(pk=ada.pk).is_active
    assert "could not be ended" in caplog.text


def test_a_driver_that_cannot_disconnect_breaks_nothing(
    ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    with using(Unable):
        ada.is_active = False
        ada.save()
    assert "could not" not in caplog.text


def test_what_is_not_wanted_does_not_happen(
    ada: User, told: Told, client: Client, django_assert_num_queries: Any
) -> None:
    with using(Remembering, AUTHORIZATION={"REVOKE_ON": []}):
        client.force_login(ada)
        client.logout()
        ada.is_active = False
        with django_assert_num_queries(1):
            ada.save()
    assert told == []


def test_users_are_sent_away_by_what_they_are_known_by(
    ada: User, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        User, "get_broadcast_id", lambda user: f"id-of-{user.username}", raising=False
    )
    broadcasting.revoke(user=ada, channel="private-a")
    broadcasting.disconnect(user=ada)
    ada.is_active = False
    ada.save()
    assert told == [
        ("id-of-ada", "private-a"),
        ("id-of-ada", False, None),
        ("id-of-ada", True, None),
    ]


def test_a_session_in_a_cookie_cannot_be_told_apart(
    ada: User, told: Told, client: Client, settings: Any
) -> None:
    """Its key is what it holds, so that it changes; nobody may be spared for another one."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client.force_login(ada)
    with routes.isolated():
        broadcasting.channel("orders.{number}")(lambda user, number: True)
        form = {"socket_id": "1.1", "channel_name": "private-orders.1"}
        with using(ChannelsBroadcaster):
            answer = client.post("/broadcasting/auth", form).json()
    assert json.loads(answer["channel_data"]).keys() == {"user_id", "at"}
    client.logout()
    assert told == [(str(ada.pk), False, "")]


def test_whoever_has_no_primary_key_can_log_out(
    db: None, told: Told, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    request = RequestFactory().get("/")
    request.session = client.session
    request.session.create()
    for user in (object(), User()):
        user_logged_out.send(type(user), request=request, user=user)
    assert told == []
    assert caplog.text.count("could not be ended") == 2


def test_what_is_no_field_of_the_user_model_is_not_watched(
    transactional_db: None, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AbstractBaseUser has ``is_active`` without a column."""
    monkeypatch.setattr(occasions, "get_user_model", lambda: Order)
    order = Order.objects.create()
    order.is_active = False  # type: ignore[attr-defined]
    order.save()
    assert told == []


def test_a_save_that_failed_ends_nothing_later(ada: User, told: Told) -> None:
    ada.username = None  # type: ignore[assignment]
    ada.is_active = False
    with pytest.raises(IntegrityError):
        ada.save()
    ada.refresh_from_db()
    ada.save(update_fields=["last_login"])
    assert told == []


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_is_disconnected_after_the_commit(told: Told) -> None:
    ids = [str(User.objects.create_user(name).pk) for name in ("ada", "bob", "eve")]
    with transaction.atomic():
        User.objects.get(username="ada").delete()
        assert told == []
    User.objects.filter(username="bob").delete()
    with transaction.atomic():
        User.objects.get(username="eve").delete()
        transaction.set_rollback(True)
    assert told == [(pk, True, None) for pk in ids[:2]]


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_by_way_of_a_proxy_is_disconnected(told: Told) -> None:
    class Member(get_user_model()):  # type: ignore[misc]
        class Meta:
            app_label = "testapp"
            proxy = True

    occasions.watch()  # as when the site starts, which knew of no proxy
    try:
        ids = [str(User.objects.create_user(name).pk) for name in ("ada", "bob", "eve")]
        Member.objects.get(username="ada").delete()
        Member.objects.filter(username="bob").delete()
        User.objects.filter(username="eve").delete()
    finally:  # before the class is gone, whose id another model may get
        post_delete.disconnect(sender=Member, dispatch_uid="broadcasting.revocation")
    assert told == [(pk, True, None) for pk in ids]


def test_rows_that_are_no_users_are_still_deleted_at_one_stroke() -> None:
    """Whoever listens to the deletes of a model makes Django load its rows first."""
    assert not post_delete.has_listeners(Session)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_rows_that_a_rule_reads_may_be_in_any_database(told: Told, colour: str) -> None:
    user = User.objects.create_user("ada")
    with transaction.atomic("other"):
        if colour == "sync":
            broadcasting.revoke(user=user, channel="private-a")
        else:
            async_to_sync(broadcasting.arevoke)(user=user, channel="private-a")
    assert told == [(str(user.pk), "private-a")] * 2


def test_an_id_that_cannot_be_made_breaks_no_save_and_no_delete(
    ada: User, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(user: User) -> str:
        raise RuntimeError("a bug of the project")

    monkeypatch.setattr(User, "get_broadcast_id", broken, raising=False)
    ada.is_active = False
    ada.save()
    ada.delete()
    assert not User.objects.exists()
    assert caplog.text.count("a bug of the project") == 2
