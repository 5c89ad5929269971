from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.urls.converters import StringConverter

from broadcasting.authorization import ChannelRoute, channel, patterns, user_resolver
from broadcasting.authorization.rules import Routes
from broadcasting.authorization.users import UserResolver
from broadcasting.checks import authorization as checks
from broadcasting.protocol.names import base_name

GUARD = 7


def _ids(messages: list[CheckMessage]) -> list[str]:
    assert all(message.hint for message in messages)
    return [str(message.id).removeprefix("broadcasting.") for message in messages]


def _rule(pattern: str, **options: Any) -> Any:
    return channel(pattern, **options)(lambda user, **rest: True)


def test_they_are_registered() -> None:
    registered = set(registry.get_checks())
    assert {
        checks.check_rules,
        checks.check_channels_is_ours_to_import,
    } <= registered


def test_good_rules_are_left_in_peace(rules: Routes) -> None:
    """App 22: none of them."""
    _rule("orders.{order}")
    _rule("orders.{other}", kinds="private", guards=[lambda request: None, "session"])
    _rule("a.{int:b}-{uuid:c}.@,;=_")

    @channel("room.{room}")
    class Room(ChannelRoute):
        async def join(self, user: Any, room: str) -> bool:
            return True

    assert checks.check_rules() == []


def test_the_suites_own_site_is_left_in_peace() -> None:
    assert checks.check_rules() == []
    assert checks.check_channels_is_ours_to_import() == []


def test_e011_a_duplicate_pattern(rules: Routes) -> None:
    """App 22: E011."""
    _rule("a")
    _rule("a", kinds="private")
    messages = checks.check_rules()
    assert _ids(messages) == ["E011"]
    assert "'a' is registered twice" in messages[0].msg


@pytest.mark.parametrize("pattern", ["a.{", "a.{b}.{b}", "a.{1}", ""])
def test_e011_a_bad_placeholder(rules: Routes, pattern: str) -> None:
    """App 22: E011."""
    _rule(pattern)
    assert _ids(checks.check_rules()) == ["E011"]


def test_e013_a_signature_that_does_not_fit(rules: Routes) -> None:
    """App 22: E013."""

    @channel("orders.{order}")
    def rule(user: Any) -> bool:
        return True

    @channel("users.{user}")
    def confused(user: Any) -> bool:
        return True

    messages = checks.check_rules()
    assert _ids(messages) == ["E013", "E013"]
    assert "no parameter takes the placeholder {order}" in messages[0].msg
    assert "'orders.{order}'" in (messages[0].hint or "")


def test_e013_a_class_that_wants_arguments(rules: Routes) -> None:
    @channel("orders")
    class Orders(ChannelRoute):
        def __init__(self, shop: str) -> None:
            self.shop = shop

        def join(self, user: Any) -> bool:
            return True

    messages = checks.check_rules()
    assert _ids(messages) == ["E013"]
    assert "cannot be made without arguments" in messages[0].msg


def test_e013_a_class_without_join(rules: Routes) -> None:
    @channel("orders")
    class Orders(ChannelRoute):
        pass

    messages = checks.check_rules()
    assert _ids(messages) == ["E013"]
    assert "no join method" in messages[0].msg


def test_e014_a_guard_that_is_nowhere(rules: Routes, settings: Any) -> None:
    """App 22: E014."""
    _rule("a", guards=["no.such.guard"])
    assert _ids(checks.check_rules()) == ["E014"]
    settings.BROADCASTING = {"AUTHORIZATION": {"GUARDS": ["session", "tests.nowhere"]}}
    messages = checks.check_rules()
    assert _ids(messages) == ["E014", "E014"]
    assert messages[0].msg.startswith("BROADCASTING['AUTHORIZATION']['GUARDS']")


@pytest.mark.parametrize("guard", [["session"], 7, None, "tests.authorization.test_checks.GUARD"])
def test_e014_a_guard_that_cannot_be_called(rules: Routes, guard: Any) -> None:
    _rule("a", guards=[guard])
    _rule("b", guards=[guard])
    assert _ids(checks.check_rules()) == ["E014"]


@pytest.mark.parametrize("annotation", [[int], {"a": 1}, 7])
def test_e013_an_annotation_that_is_no_type(rules: Routes, annotation: Any) -> None:
    def rule(user: Any, id: Any) -> bool:  # noqa: A002
        return True

    rule.__annotations__["id"] = annotation
    channel("orders.{id}")(rule)
    assert _ids(checks.check_rules()) == ["E013"]


@pytest.mark.parametrize("regex", ["[0-9", "(?P<a>x)(?P<a>y)"])
def test_e011_a_converter_without_a_regular_expression(
    rules: Routes, monkeypatch: pytest.MonkeyPatch, regex: str
) -> None:
    class Broken(StringConverter):
        pass

    Broken.regex = regex
    monkeypatch.setattr(patterns, "get_converters", lambda: {"broken": Broken()})
    _rule("bad.{broken:b}")
    assert _ids(checks.check_rules()) == ["E011"]
    assert next(iter(rules)).match("bad.x") is None


@pytest.mark.parametrize("pattern", ["private-orders.{order}", "orders:{order}", "orders.*", "a b"])
def test_w013_a_pattern_that_never_matches(rules: Routes, pattern: str) -> None:
    """App 22: W013."""
    _rule(pattern)
    assert _ids(checks.check_rules()) == ["W013"]


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("private-orders.{order}", "'private-private-...'"),
        ("cache-orders.{order}", "'private-cache-cache-...'"),
        ("private-cache-orders.{order}", "'private-cache-private-cache-...'"),
    ],
)
def test_w013_a_pattern_with_a_prefix_shows_what_it_decides_about(
    rules: Routes, pattern: str, example: str
) -> None:
    _rule(pattern)
    (message,) = checks.check_rules()
    assert message.id == "broadcasting.W013"
    assert example in message.msg
    assert next(iter(rules)).match(base_name(f"{example.strip(chr(39))[:-3]}orders.1"))


def test_e011_a_second_user_resolver(resolving: UserResolver) -> None:
    user_resolver(lambda user: {"id": 1})
    assert checks.check_rules() == []
    user_resolver(lambda user: {"id": 2})
    messages = checks.check_rules()
    assert _ids(messages) == ["E011"]


@pytest.mark.parametrize(
    "function", [lambda: {}, lambda request: {}, lambda user, other: {}, lambda *, user: {}]
)
def test_e013_a_user_resolver_that_does_not_fit(resolving: UserResolver, function: Any) -> None:
    user_resolver(function)
    assert _ids(checks.check_rules()) == ["E013"]


@pytest.mark.parametrize("what", ["channels.py", "channels/__init__.py"])
def test_w012_something_in_front_of_django_channels(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """App 22: W012."""
    (tmp_path / what).parent.mkdir(exist_ok=True)
    (tmp_path / what).touch()
    monkeypatch.syspath_prepend(tmp_path)
    messages = checks.check_channels_is_ours_to_import()
    assert _ids(messages) == ["W012"]
    assert str(tmp_path / what) in messages[0].msg


def test_w012_not_for_a_module_of_an_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "channels.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert checks.check_channels_is_ours_to_import() == []
