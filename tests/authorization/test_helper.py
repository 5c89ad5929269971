from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import RequestFactory

from broadcasting.authorization import channel, user_resolver
from broadcasting.authorization.rules import Routes
from broadcasting.authorization.users import UserResolver
from broadcasting.testing import achannel_auth, auser_auth, channel_auth, user_auth
from tests.testapp.models import Order

ADA = User(pk=7, username="ada")


@pytest.mark.django_db
def test_the_rules_of_an_app_are_asked() -> None:
    owner = User.objects.create_user("owner")
    order = Order.objects.create(customer=owner)
    name = f"private-orders.{order.pk}"
    assert channel_auth(owner, name).allowed
    assert channel_auth(ADA, name).denied
    assert channel_auth(None, name).denied
    assert channel_auth(AnonymousUser(), name).denied
    assert channel_auth(owner, f"private-orders.{order.pk + 1}").denied


def test_an_async_rule_is_asked_from_sync_code() -> None:
    decision = channel_auth(ADA, "presence-chat.1")
    assert decision.user_info == {"id": 7, "name": "ada"}
    assert channel_auth(ADA, "presence-chat.abc").denied


def test_a_class_is_asked() -> None:
    assert channel_auth(User(pk=1, is_staff=True), "private-staff.orders").allowed
    decision = channel_auth(ADA, "private-staff.orders")
    assert decision.denied
    assert decision.reason == "tests.testapp.channels.StaffChannel returned False for user 7"


def test_the_answer_is_the_signed_one() -> None:
    answer = channel_auth(ADA, "private-staff.orders").answer
    assert answer is None
    answer = channel_auth(User(pk=1, is_staff=True), "private-staff.x", socket_id="12.34").answer
    assert answer is not None
    assert answer["auth"].startswith("app-key:")


async def test_in_async_code_it_is_the_other_one() -> None:
    assert (await achannel_auth(ADA, "presence-chat.1")).user_info == {"id": 7, "name": "ada"}
    assert (await achannel_auth(ADA, "private-staff.orders")).denied
    with pytest.raises(RuntimeError, match="await achannel_auth"):
        channel_auth(ADA, "presence-chat.1")


@pytest.mark.django_db
def test_async_code_sees_the_tests_own_transaction() -> None:
    """As in Django's own async tests, whose sync parts run in the test's thread."""
    owner = User.objects.create_user("owner")
    order = Order.objects.create(customer=owner)
    assert async_to_sync(achannel_auth)(owner, f"private-orders.{order.pk}").allowed


def test_the_user_stands_in_for_whatever_guards_find(rules: Routes) -> None:
    @channel("a", guards=["tests.nowhere.guard"])
    def rule(user: Any) -> bool:
        return user is ADA

    assert channel_auth(ADA, "private-a").allowed
    assert channel_auth(None, "private-a").denied


def test_a_rule_may_read_the_request(rules: Routes) -> None:
    @channel("a")
    def rule(user: Any, request: HttpRequest) -> bool:
        return request.GET.get("key") == "open"

    assert channel_auth(ADA, "private-a").denied
    request = RequestFactory().post("/?key=open")
    assert channel_auth(ADA, "private-a", request=request).allowed


def test_what_a_rule_raises_is_raised(rules: Routes) -> None:
    @channel("a")
    def rule(user: Any) -> bool:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        channel_auth(ADA, "private-a")


@pytest.mark.usefixtures("resolving")
class TestUserAuth:
    def test_it_says_as_whom_a_user_signs_in(self) -> None:
        found = user_auth(ADA, socket_id="12.34")
        assert found.allowed
        assert found.user_data == {"id": "7"}
        assert found.answer is not None
        assert found.answer["auth"].startswith("app-key:")
        assert user_auth(None).denied
        assert user_auth(AnonymousUser()).denied

    async def test_in_async_code_it_is_the_other_one(self) -> None:
        assert (await auser_auth(ADA)).user_data == {"id": "7"}
        with pytest.raises(RuntimeError, match="await auser_auth"):
            user_auth(ADA)

    def test_a_resolver_may_read_the_request(self) -> None:
        @user_resolver
        def resolve(user: User, request: HttpRequest) -> dict[str, str | None]:
            return {"id": request.GET.get("as")}

        request = RequestFactory().post("/?as=bob")
        assert user_auth(ADA, request=request).user_data == {"id": "bob"}

    def test_what_a_resolver_raises_is_raised(self, resolving: UserResolver) -> None:
        user_resolver(lambda user: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            user_auth(ADA)
