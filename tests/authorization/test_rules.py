from __future__ import annotations

from typing import Any

import pytest

import broadcasting
from broadcasting.authorization import ChannelRoute, channel, routes
from broadcasting.authorization.rules import Routes


def test_the_decorator_returns_what_it_decorates(rules: Routes) -> None:
    @channel("a.{b}")
    def rule(user: Any, b: str) -> bool:
        return b == "x"

    @channel("c")
    class Room(ChannelRoute):
        def join(self, user: Any) -> bool:
            return True

    assert rule(None, "x") is True
    assert isinstance(Room, type)
    assert [(route.text, route.handler) for route in rules] == [("a.{b}", rule), ("c", Room)]
    assert [route.name for route in rules] == [
        f"{__name__}.{rule.__qualname__}",
        f"{__name__}.{Room.__qualname__}",
    ]


def test_the_public_face_has_it() -> None:
    assert broadcasting.channel is channel
    assert broadcasting.ChannelRoute is ChannelRoute


@pytest.mark.parametrize("handler", ["shop.Rule", None, 7, dict])
def test_what_is_neither_function_nor_route_is_refused_at_once(rules: Routes, handler: Any) -> None:
    with pytest.raises(TypeError):
        channel("a")(handler)
    assert len(rules) == 0


def test_an_unknown_kind_is_refused_at_once(rules: Routes) -> None:
    with pytest.raises(ValueError, match=r"\['public'\]; known: private, presence, encrypted"):
        channel("a", kinds={"public"})(lambda user: True)


def _rule(pattern: str, **options: Any) -> Any:
    return channel(pattern, **options)(lambda user, **rest: True)


def test_a_second_registration_takes_the_place_of_the_first(rules: Routes) -> None:
    _rule("a")
    _rule("b")

    @channel("a")
    def later(user: Any) -> bool:
        return False

    assert [route.text for route in rules] == ["a", "b"]
    assert next(iter(rules)).handler is later
    assert [(e.text, new.handler) for e, new in rules.duplicates] == [("a", later)]


def test_one_pattern_for_different_kinds_is_no_duplicate(rules: Routes) -> None:
    _rule("a", kinds="private")
    channel("a", kinds="presence")(lambda user: {"id": 1})
    assert (len(rules), rules.duplicates) == (2, [])
    channel("a")(lambda user: None)
    assert (len(rules), len(rules.duplicates)) == (3, 2)


def test_isolation_ends() -> None:
    before = list(routes)
    with routes.isolated() as inside:
        _rule("a")
        assert len(inside) == 1
    assert list(routes) == before
