"""Rules that ask for one of Django's permissions first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils.functional import SimpleLazyObject

from broadcasting import ChannelRoute, channel
from broadcasting.checks import authorization as checks
from broadcasting.testing import achannel_auth, channel_auth

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rules", "finding")]

VIEW = "auth.view_group"


class Rows(BaseBackend):
    """Knows of rows: everybody may do everything to the group "theirs", and "some" in general."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return obj is None or getattr(obj, "name", None) == "theirs"


class ByMail(ModelBackend):
    """Logs in in another way, and knows no more of permissions."""

    def authenticate(self, request, username=None, password=None, **kwargs) -> None:
        return None


class Token(BaseBackend):
    """Knows nothing of permissions."""


class Strict(ModelBackend):
    """Has its own say about who may what."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if obj is not None:
            raise PermissionDenied
        return True


Install = Callable[..., None]


@pytest.fixture
def install(settings: Any) -> Install:
    def set_backends(*backends: type) -> None:
        settings.AUTHENTICATION_BACKENDS = [
            f"{backend.__module__}.{backend.__qualname__}" for backend in backends
        ]

    return set_backends


@pytest.fixture
def group() -> Group:
    return Group.objects.create(name="a")


@pytest.fixture
def ada() -> User:
    """May view every group."""
    user = User.objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="view_group"))
    return user


@pytest.fixture
def asked() -> list[Any]:
    """Whom the rule of ``groups.{group}`` was asked about."""
    seen: list[Any] = []

    @channel("groups.{group}", perm=VIEW, allow_anonymous=True)
    def rule(user: Any, group: Group) -> bool:
        seen.append(user)
        return True

    return seen


def test_who_has_the_permission_is_asked_about_and_nobody_else(asked, ada, group) -> None:
    bob = User.objects.create_user("bob")
    root = User.objects.create_superuser("root")
    name = f"private-groups.{group.pk}"
    assert channel_auth(ada, name).allowed
    assert channel_auth(root, name).allowed
    decision = channel_auth(bob, name)
    assert (decision.status, asked) == (403, [ada, root])
    assert f"lacks the permission '{VIEW}' for auth.Group {group.pk}" in decision.reason
    inactive = User.objects.create_superuser("inactive", is_active=False)
    assert channel_auth(inactive, name).denied


def test_guests_and_devices_have_no_permissions(asked: list[Any], group: Group) -> None:
    name = f"private-groups.{group.pk}"
    for guest in (None, AnonymousUser(), object()):
        assert channel_auth(guest, name).status == 403
    assert asked == []


@pytest.mark.parametrize("backends", [[ModelBackend], [ByMail], [Token, ByMail]])
def test_django_alone_is_asked_in_general(install, asked, ada, group, backends) -> None:
    install(*backends)
    assert channel_auth(ada, f"private-groups.{group.pk}").allowed


@pytest.mark.parametrize("backends", [[Rows], [ModelBackend, Rows], [Strict]])
def test_a_yes_in_general_opens_no_row_where_rows_are_known(
    install, asked, ada, group, backends
) -> None:
    install(*backends)
    assert ada.has_perm(VIEW)
    assert channel_auth(ada, f"private-groups.{group.pk}").denied
    assert asked == []


def test_a_backend_that_knows_of_rows_opens_those_it_says(install, asked, group) -> None:
    install(ModelBackend, Rows)
    bob = User.objects.create_user("bob")
    theirs = Group.objects.create(name="theirs")
    assert channel_auth(bob, f"private-groups.{theirs.pk}").allowed
    assert channel_auth(bob, f"private-groups.{group.pk}").denied


def test_a_user_with_its_own_say_is_asked_about_the_row_alone(
    monkeypatch: pytest.MonkeyPatch, asked: list[Any], ada: User, group: Group
) -> None:
    def has_perm(user: User, perm: str, obj: Any = None) -> bool:
        return obj is None or obj.name == "theirs"

    monkeypatch.setattr(User, "has_perm", has_perm)
    name = f"private-groups.{group.pk}"
    assert channel_auth(ada, name).denied
    Group.objects.update(name="theirs")
    assert channel_auth(ada, name).allowed


def test_the_user_of_a_session_is_asked(client: Client, asked: list[Any], ada, group) -> None:
    """``request.user`` is lazy, and shows another class than its own."""
    client.force_login(ada)
    data = {"socket_id": "1.1", "channel_name": f"private-groups.{group.pk}"}
    assert client.post("/broadcasting/auth", data).status_code == 200
    assert channel_auth(SimpleLazyObject(lambda: ada), data["channel_name"]).allowed


def test_a_rule_without_a_row_is_about_the_permission_in_general(ada: User) -> None:
    @channel("reports.{year}", perm=VIEW)
    def rule(user: Any, year: int) -> bool:
        return True

    assert channel_auth(ada, "private-reports.1").allowed
    assert channel_auth(User(pk=9), "private-reports.1").denied


def test_the_row_of_the_permissions_own_model_is_meant(install: Install, ada: User) -> None:
    @channel("groups.{group}.{other}", perm=VIEW)
    def rule(user: Any, group: Group, other: User) -> bool:
        return True

    install(Rows)
    group = Group.objects.create(name="theirs")
    assert channel_auth(ada, f"private-groups.{group.pk}.{ada.pk}").allowed
    group.name = "a"
    group.save()
    assert channel_auth(ada, f"private-groups.{group.pk}.{ada.pk}").denied


def test_several_are_all_needed(ada: User) -> None:
    @channel("both", perm=[VIEW, "auth.add_group"])
    def rule() -> bool:
        return True

    assert channel_auth(ada, "private-both").denied
    ada.user_permissions.add(Permission.objects.get(codename="add_group"))
    assert channel_auth(User.objects.get(pk=ada.pk), "private-both").allowed


def test_the_rule_has_the_last_word(ada: User, group: Group) -> None:
    @channel(Group, perm=VIEW)
    class Groups(ChannelRoute):
        def join(self, user: User, group: Group) -> bool:
            return group.name == "b"

    assert channel_auth(ada, f"private-auth.Group.{group.pk}").denied
    Group.objects.update(name="b")
    assert channel_auth(ada, f"private-auth.Group.{group.pk}").allowed


class Remote:
    """A user that is only ever asked by awaiting."""

    pk = 5
    is_authenticated = True

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        return perm == VIEW


@pytest.mark.django_db(transaction=True)
async def test_async_rules_ask_in_their_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    @channel("a", perm=VIEW)
    async def rule(user: Any) -> bool:
        return True

    def never(*args: Any) -> bool:
        raise AssertionError

    ada = await User.objects.acreate(username="ada")
    await ada.user_permissions.aadd(await Permission.objects.aget(codename="view_group"))
    monkeypatch.setattr(User, "has_perm", never)
    assert (await achannel_auth(ada, "private-a")).allowed
    assert (await achannel_auth(Remote(), "private-a")).allowed


def test_a_user_that_is_only_asked_by_awaiting_may_have_a_sync_rule() -> None:
    channel("a", perm=VIEW)(lambda user: True)
    channel("b", perm="auth.add_group")(lambda user: True)
    assert channel_auth(Remote(), "private-a").allowed
    assert channel_auth(Remote(), "private-b").denied


@pytest.mark.parametrize("perm", ["view_group", "auth.", ".x", "", 7])
def test_e013_what_is_no_permission(perm: Any) -> None:
    channel("a", perm=[perm])(lambda user: True)
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.E013"
    assert "is no permission" in message.msg
