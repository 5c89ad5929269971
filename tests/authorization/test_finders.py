"""What a project says once about a placeholder."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.http import Http404

import broadcasting
from broadcasting import channel
from broadcasting.authorization import routes
from broadcasting.checks import authorization as checks
from broadcasting.testing import achannel_auth, channel_auth

ADA = User(pk=7, username="ada")

pytestmark = pytest.mark.usefixtures("rules", "finding")


@pytest.fixture
def seen() -> list[Any]:
    """What the rule of ``rooms.{room}`` was given."""
    given: list[Any] = []

    @channel("rooms.{room}")
    def rule(user: User, room) -> bool:
        given.append(room)
        return True

    return given


def test_a_finder_is_asked_for_its_placeholder(seen: list[Any]) -> None:
    broadcasting.bind("room", str.upper)
    assert channel_auth(ADA, "private-rooms.a").allowed
    assert seen == ["A"]


def test_a_finder_bound_after_the_first_question_counts(seen: list[Any]) -> None:
    assert channel_auth(ADA, "private-rooms.a").allowed
    broadcasting.bind("room", str.upper)
    assert channel_auth(ADA, "private-rooms.a").allowed
    assert seen == ["a", "A"]


async def test_a_finder_may_be_async(seen: list[Any]) -> None:
    @broadcasting.bind("room")
    async def find(value: str) -> str:
        return value * 2

    assert (await achannel_auth(ADA, "private-rooms.a")).allowed
    assert seen == ["aa"]


class Absent:
    def __init__(self, how: Any) -> None:
        self.how = how

    def __call__(self, value: str) -> Any:
        if isinstance(self.how, Exception):
            raise self.how
        return self.how


@pytest.mark.parametrize(
    "how",
    [None, Group.DoesNotExist(), Http404("gone"), ValueError("7?"), ValidationError("7?")],
    ids=repr,
)
def test_what_is_not_found_is_refused_and_no_other_rule_is_asked(seen, how: Any) -> None:
    @channel("{rest:path}")
    def everything(user: User, rest: str) -> bool:
        raise AssertionError

    broadcasting.bind("room", Absent(how))
    decision = channel_auth(ADA, "private-rooms.a")
    assert decision.status == 403
    assert "room='a'" in decision.reason
    assert seen == []


def test_a_mistake_in_a_finder_is_an_error_and_lets_nobody_in(seen: list[Any]) -> None:
    broadcasting.bind("room", Absent(TypeError("mistake")))
    with pytest.raises(TypeError, match="mistake"):
        channel_auth(ADA, "private-rooms.a")
    assert seen == []


@pytest.mark.django_db
def test_the_value_itself_leaves_it_to_the_annotation() -> None:
    @channel("groups.{group}")
    def rule(user: User, group: Group) -> bool:
        return group.name == "a"

    broadcasting.bind("group", lambda value: value)
    group = Group.objects.create(name="a")
    assert channel_auth(ADA, f"private-groups.{group.pk}").allowed
    assert channel_auth(ADA, "private-groups.0").denied


@pytest.mark.django_db
def test_what_a_rule_takes_for_a_row_is_one() -> None:
    @channel("groups.{group}")
    def rule(user: User, group: Group) -> bool:
        return True

    broadcasting.bind("group", lambda value: Group.objects.filter(name=value))
    with pytest.raises(TypeError, match=r"returned a QuerySet, where the rule expects auth\.Group"):
        channel_auth(ADA, "private-groups.a")


def test_a_placeholder_with_a_field_does_not_ask_it(db: None) -> None:
    @channel("groups.{group:name}")
    def rule(user: User, group: Group) -> bool:
        return group.name == "a"

    broadcasting.bind("group", Absent(TypeError()))
    Group.objects.create(name="a")
    assert channel_auth(ADA, "private-groups.a").allowed


def test_an_inline_converter_speaks_first() -> None:
    @channel("years.{int:year}")
    def rule(user: User, year: int) -> bool:
        return year == 8

    broadcasting.bind("year", lambda value: value + 1)
    assert channel_auth(ADA, "private-years.7").allowed


def test_any_annotation_will_do_for_what_a_finder_returns() -> None:
    @channel("shapes.{shape}")
    def rule(user: User, shape: list[str]) -> bool:
        return shape == ["a", "b"]

    assert [message.id for message in checks.check_rules()] == ["broadcasting.E013"]
    with routes.isolated():
        channel("shapes.{shape}")(rule)
        broadcasting.bind("shape", lambda value: value.split("-"))
        assert checks.check_rules() == []
        assert channel_auth(ADA, "private-shapes.a-b").allowed


def test_e011_a_placeholder_bound_twice(seen: list[Any]) -> None:
    for _ in range(2):
        broadcasting.bind("room", str.upper)
    assert checks.check_rules() == []
    broadcasting.bind("room", str.title)
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.E011"
    assert "{room} is bound twice: to str.upper and to str.title" in message.msg
    assert channel_auth(ADA, "private-rooms.aa").allowed
    assert seen == ["Aa"]


@pytest.mark.parametrize(
    ("name", "finder"), [("a.b", str), ("{a}", str), (7, str), ("a", 7), ("a", "str")]
)
def test_what_cannot_be_bound_is_a_type_error(name: Any, finder: Any) -> None:
    with pytest.raises(TypeError):
        broadcasting.bind(name, finder)
