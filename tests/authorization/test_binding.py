from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Optional
from uuid import UUID

import pytest
from django.contrib.auth.models import AbstractUser, Group, User
from django.db import models

from broadcasting import PrivateChannel
from broadcasting.authorization import channel
from broadcasting.authorization.binding import make_plan
from broadcasting.authorization.outcomes import Refused
from broadcasting.authorization.patterns import compile_pattern
from broadcasting.authorization.rules import Routes, model_pattern
from broadcasting.testing.authorization import channel_auth
from tests.blog.models import Draft

if TYPE_CHECKING:
    from django.contrib.sessions.models import Session

ADA = User(pk=7, username="ada")
SPECIAL = {"request": "the request", "channel": "private-x", "socket_id": "1.1"}


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Season(models.TextChoices):
    WINTER = "wi", "Winter"


def _bound(rule: Callable[..., Any], pattern: str, name: str) -> Any:
    """Return what ``rule`` returns for ``name``."""
    compiled = compile_pattern(pattern)
    plan = make_plan(rule, compiled)
    assert plan.problems == []
    values = compiled.match(name)
    assert values is not None
    args, named = plan.bind(values, ADA, SPECIAL)
    return rule(*args, **named)


def _problems(rule: Callable[..., Any], pattern: str) -> list[str]:
    return make_plan(rule, compile_pattern(pattern)).problems


UUID_TEXT = "0b7a1c1e-93f1-4b1f-9a3e-0d8f5c1f6b2a"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "7", "7"),
        (Any, "7", "7"),
        (int, "7", 7),
        (int, "-7", -7),
        (int, "007", 7),
        (UUID, UUID_TEXT, UUID(UUID_TEXT)),
        (date, "2026-02-28", date(2026, 2, 28)),
        (Decimal, "12", Decimal(12)),
        (Decimal, "-12", Decimal(-12)),
        (Color, "red", Color.RED),
        (Level, "2", Level.HIGH),
        (Season, "wi", Season.WINTER),
        (Optional[int], "7", 7),  # noqa: UP045
        (int | None, "7", 7),
        (Annotated[int, "anything"], "7", 7),
    ],
)
def test_annotations_convert(annotation: Any, text: str, value: Any) -> None:
    def rule(user: User, x: Any) -> Any:
        return x

    rule.__annotations__["x"] = annotation
    got = _bound(rule, "a.{x}", f"a.{text}")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "abc"),
        (int, "1_000"),
        (int, ""),
        (int, "9" * 5000),
        (UUID, "1"),
        (date, "2026-02-30"),
        (Decimal, "NaN"),
        (Decimal, "1e999999999"),
        (Decimal, "1_000"),
        (Decimal, "Infinity"),
        (Decimal, "x"),
        (Color, "RED"),
        (Color, "green"),
        (Level, "3"),
    ],
)
def test_a_value_that_does_not_fit_refuses(annotation: Any, text: str) -> None:
    """App 13: int conversion failure."""

    def rule(user: User, x: Any) -> Any:
        return x

    rule.__annotations__["x"] = annotation
    plan = make_plan(rule, compile_pattern("a.{x}"))
    with pytest.raises(Refused, match="x="):
        plan.bind({"x": text}, ADA, SPECIAL)


def test_parameters_are_passed_by_name() -> None:
    def rule(user: User, b: str, a: str) -> Any:
        return user, a, b

    assert _bound(rule, "{a}.{b}", "1.2") == (ADA, "1", "2")


def test_the_user_may_be_left_out_and_named_freely() -> None:
    def without(order: int) -> Any:
        return order

    def named(me: User, order: int) -> Any:
        return me, order

    def positional(me: User, /, order: int) -> Any:
        return me, order

    def by_keyword(*, user: User, order: int) -> Any:
        return user, order

    def nothing() -> Any:
        return "called"

    assert _bound(without, "a.{order}", "a.1") == 1
    assert _bound(named, "a.{order}", "a.1") == (ADA, 1)
    assert _bound(positional, "a.{order}", "a.1") == (ADA, 1)
    assert _bound(by_keyword, "a.{order}", "a.1") == (ADA, 1)
    assert _bound(nothing, "a", "a") == "called"


def test_request_channel_and_socket_id_are_there_for_the_asking() -> None:
    def rule(request: Any, user: User, order: int, *, channel: str, socket_id: str) -> Any:
        return request, user, order, channel, socket_id

    assert _bound(rule, "a.{order}", "a.1") == ("the request", ADA, 1, "private-x", "1.1")


def test_a_placeholder_wins_over_what_is_there_for_the_asking() -> None:
    def rule(user: User, channel: str) -> Any:
        return channel

    assert _bound(rule, "a.{channel}", "a.news") == "news"


def test_the_rest_may_be_taken_by_any_keyword() -> None:
    def rule(user: User, a: int, **rest: str) -> Any:
        return a, rest

    assert _bound(rule, "{a}.{b}.{c}", "1.2.3") == (1, {"b": "2", "c": "3"})


def test_parameters_of_the_rules_own_keep_their_defaults() -> None:
    def rule(user: User, a: int, limit: int = 5) -> Any:
        return a, limit

    assert _bound(rule, "{a}", "1") == (1, 5)


def test_an_inline_converters_value_is_passed_as_it_is() -> None:
    def rule(user: User, a: str) -> Any:
        return a

    assert _bound(rule, "x.{int:a}", "x.7") == 7


def test_wrapped_partial_and_callable_rules_are_read() -> None:
    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @decorated
    def wrapped(user: User, level: Level) -> Any:
        return level

    def two(prefix: str, user: User, level: Level) -> Any:
        return prefix, level

    class Rule:
        def __call__(self, user: User, level: Level) -> Any:
            return level

    assert _bound(wrapped, "{level}", "1") is Level.LOW
    assert _bound(functools.partial(two, "p"), "{level}", "1") == ("p", Level.LOW)
    assert _bound(Rule(), "{level}", "1") is Level.LOW


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a", "'order' is not a placeholder"),
        ("a.{order}.{item}", "no parameter takes the placeholder {item}"),
        ("a.{ordr}", "no parameter takes the placeholder {ordr}"),
    ],
)
def test_a_signature_that_does_not_fit_its_pattern_is_a_problem(pattern: str, words: str) -> None:
    def rule(user: User, order: int) -> bool:
        return True

    assert any(words in problem for problem in _problems(rule, pattern))


def test_other_unusable_signatures_are_problems() -> None:
    def typed(user: User, x: list[int]) -> bool:
        return True

    def by_position(user: User, x: int, /) -> bool:
        return True

    def hidden(user: User, x: Session) -> bool:
        return True

    def abstract(user: User, x: AbstractUser) -> bool:
        return True

    def field_without_model(user: User, x: str) -> bool:
        return True

    def no_such_field(user: User, x: Group) -> bool:
        return True

    assert "neither a model nor a type" in _problems(typed, "{x}")[0]
    assert "callable by name" in _problems(by_position, "{x}")[0]
    assert "outside 'if TYPE_CHECKING:'" in _problems(hidden, "{x}")[0]
    assert "abstract" in _problems(abstract, "{x}")[0]
    assert "needs a model annotation" in _problems(field_without_model, "{x:slug}")[0]
    assert "has no field 'slug'" in _problems(no_such_field, "{x:slug}")[0]
    typed.__signature__ = "nonsense"  # type: ignore[attr-defined]
    assert "its signature cannot be read" in _problems(typed, "{x}")[0]


def test_a_hidden_annotation_of_another_parameter_does_no_harm() -> None:
    def rule(user: Session, x: int) -> Any:
        return x

    assert _bound(rule, "{x}", "1") == 1


@pytest.mark.parametrize("pattern", ["users.{user}", "auth.User.{user}"])
def test_who_asks_is_never_confused_with_who_is_asked_for(pattern: str) -> None:
    """``user`` would be whom the visitor named, so ``user.is_active`` would let anybody in."""

    def confused(user: User) -> bool:
        return user.is_active

    def turned(user: User, user_id: int) -> bool:
        return True

    def clear(me: User, user: User) -> Any:
        return me

    assert "'user' is a placeholder here" in _problems(confused, pattern)[0]
    assert _problems(turned, pattern)
    assert _problems(clear, pattern) == []


@pytest.mark.django_db
class TestModels:
    """App 13: model binding."""

    @pytest.fixture
    def group(self) -> Group:
        return Group.objects.create(name="editors")

    def test_a_model_is_found_by_its_primary_key(self, group: Group) -> None:
        """App 13: model binding."""

        def rule(user: User, group: Group) -> Any:
            return group

        assert _bound(rule, "groups.{group}", f"groups.{group.pk}") == group

    def test_by_a_field(self, group: Group) -> None:
        def rule(user: User, group: Group) -> Any:
            return group

        assert _bound(rule, "groups.{group:name}", "groups.editors") == group

    def test_by_an_inline_converters_value(self, group: Group) -> None:
        def rule(user: User, group: Group) -> Any:
            return group

        assert _bound(rule, "groups.{int:group}", f"groups.{group.pk}") == group

    def test_an_optional_model_too(self, group: Group) -> None:
        def rule(user: User, group: Group | None) -> Any:
            return group

        assert _bound(rule, "groups.{group}", f"groups.{group.pk}") == group

    @pytest.mark.parametrize("key", ["0", "abc", "9" * 30, "1_0", "-"])
    def test_no_such_row_refuses_and_no_other_rule_is_asked(self, rules: Routes, key: str) -> None:
        """App 13: model binding, not found."""
        asked: list[str] = []

        @channel("groups.{group}")
        def first(user: User, group: Group | None) -> bool:
            asked.append("first")
            return True

        @channel("groups.{name}")
        def second(user: User, name: str) -> bool:
            asked.append("second")
            return True

        decision = channel_auth(ADA, f"private-groups.{key}")
        assert (decision.status, asked) == (403, [])
        assert f"no auth.Group with pk='{key}'" in decision.reason

    def test_a_guest_learns_nothing_about_rows(
        self, rules: Routes, django_assert_num_queries: Any
    ) -> None:
        @channel("groups.{group}")
        def rule(user: User, group: Group) -> bool:
            return True

        with django_assert_num_queries(0):
            assert channel_auth(None, "private-groups.1").denied

    def test_a_model_class_is_a_pattern(self, rules: Routes, group: Group) -> None:
        @channel(Group)
        def rule(user: User, group: Group) -> bool:
            return group.name == "editors"

        assert [route.text for route in rules] == ["auth.Group.{group}"]
        assert channel_auth(ADA, f"private-auth.Group.{group.pk}").allowed

    def test_a_proxy_decides_about_the_channels_of_its_rows(self, rules: Routes) -> None:
        [draft] = Draft.objects.bulk_create([Draft(title="Hello")])

        @channel(Draft)
        def rule(user: User, draft: Draft) -> bool:
            return type(draft) is Draft

        assert channel_auth(ADA, PrivateChannel(draft).name).allowed


def test_a_models_placeholder_is_its_name_in_snake_case() -> None:
    class OrderItem:
        class _meta:  # noqa: N801
            label = "shop.OrderItem"
            concrete_model = None

    assert model_pattern(OrderItem) == "shop.OrderItem.{order_item}"  # type: ignore[arg-type]
