from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.urls import converters, register_converter

from broadcasting.authorization.patterns import InvalidPattern, compile_pattern
from broadcasting.protocol.names import ChannelKind, base_name, kind_of

YES = [
    ("something", "something", {}),
    ("something.23", "something.{id}", {"id": "23"}),
    ("something.23.test", "something.{id}.test", {"id": "23"}),
    ("something.23.test.42", "something.{id}.test.{id2}", {"id": "23", "id2": "42"}),
    ("something-23:test-42", "something-{id}:test-{id2}", {"id": "23", "id2": "42"}),
    ("23:string:test", "{id}:string:{text}", {"id": "23", "text": "test"}),
    ("orders.1-2-3", "orders.{a}-{b}", {"a": "1-2", "b": "3"}),
]
NO = [
    ("something..test.42", "something.{id}.test.{id2}"),
    ("something.23", "something"),
    ("something.23.test.42", "something.test.{id}"),
    ("something-23-test-42", "something-{id}-test"),
    ("23:test", "{id}:test:abcd"),
    ("customer.order.1", "order.{id}"),
    ("customerorder.1", "order.{id}"),
    ("TestChannel", "Test.{id}"),
    ("orders.1\n", "orders.{id}"),
    ("orders.1\n", "orders.1"),
    ("Orders.1", "orders.{id}"),
    ("orders.1", "ord.*"),
    ("ordersX1", "orders.1"),
]


@pytest.mark.parametrize(("name", "pattern", "values"), YES)
def test_a_name_that_fits_gives_the_values(name: str, pattern: str, values: dict[str, str]) -> None:
    """App 15: the names that match."""
    found = compile_pattern(pattern).match(name)
    assert found == values
    assert list(found) == list(values)


@pytest.mark.parametrize(("name", "pattern"), NO)
def test_a_name_that_does_not_fit_gives_none(name: str, pattern: str) -> None:
    """App 15: the names that do not."""
    assert compile_pattern(pattern).match(name) is None


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("private-test", "test"),
        ("private-encrypted-test", "test"),
        ("presence-test", "test"),
        ("test", "test"),
        ("test-private-channel", "test-private-channel"),
        ("private-private-test", "private-test"),
        ("private-presence-test", "presence-test"),
        ("presence-private-test", "private-test"),
        ("private-encrypted-private-123", "private-123"),
        ("public-test", "public-test"),
    ],
)
def test_patterns_see_names_without_their_one_prefix(channel: str, name: str) -> None:
    """App 15: how names are normalised."""
    assert base_name(channel) == name


def test_a_name_that_only_looks_guarded_is_public() -> None:
    """App 15: public-test is unguarded."""
    for name in ("public-test", "privateer", "presence", "test-private-channel"):
        assert kind_of(name) is ChannelKind.PUBLIC


def test_a_converter_of_urls_converts() -> None:
    assert compile_pattern("orders.{int:id}").match("orders.42") == {"id": 42}
    uuid = "0b7a1c1e-93f1-4b1f-9a3e-0d8f5c1f6b2a"
    assert compile_pattern("docs.{uuid:doc}").match(f"docs.{uuid}") == {"doc": UUID(uuid)}
    assert compile_pattern("blog.{slug:post}").match("blog.my-post") == {"post": "my-post"}


def test_a_converter_that_refuses_is_no_match() -> None:
    assert compile_pattern("orders.{int:id}").match("orders.abc") is None
    assert compile_pattern("docs.{uuid:doc}").match("docs.1") is None


def test_str_stops_at_dots_and_path_does_not() -> None:
    assert compile_pattern("files.{str:name}").match("files.a.b") is None
    assert compile_pattern("files.{path:name}").match("files.a.b") == {"name": "a.b"}


def test_a_word_that_is_no_converter_names_a_field() -> None:
    placeholder = compile_pattern("blog.{post:slug}").placeholders["post"]
    assert (placeholder.converter, placeholder.field) == (None, "slug")


@pytest.fixture
def even() -> Iterator[None]:
    class Even:
        regex = "[0-9]+"

        def to_python(self, value: str) -> int:
            if int(value) % 2:
                raise ValueError
            return int(value)

        def to_url(self, value: int) -> str:
            return str(value)

    register_converter(Even, "even")
    yield
    del converters.REGISTERED_CONVERTERS["even"]
    converters.get_converters.cache_clear()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("even")
def test_a_converter_of_the_project_is_known_by_its_name() -> None:
    assert compile_pattern("rooms.{even:room}").match("rooms.4") == {"room": 4}
    assert compile_pattern("rooms.{even:room}").match("rooms.5") is None


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a.{",
        "a.}",
        "a.{}",
        "a.{b",
        "a.{{b}}",
        "a.{1b}",
        "a.{b-c}",
        "a.{b}.{b}",
        "a.{id?}",
        "a.{class}",
        "a.{int:}",
        "a.{post:}",
        "a.{:x}",
        "a.{int:a:b}",
    ],
)
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)
