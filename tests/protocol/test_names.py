from __future__ import annotations

import pytest

from broadcasting.protocol.names import (
    ChannelKind,
    base_name,
    is_channel_name,
    is_event_name,
    is_socket_id,
    kind_of,
)


@pytest.mark.parametrize(
    "name", ["c", "C", "orders.1", "private-App.Models.User.1", "a_-=@,.;Z9", "-", "0"]
)
def test_names_of_pushers_alphabet_are_channels(name: str) -> None:
    """62."""
    assert is_channel_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "a:b", "a!", "é", "\N{CAT FACE}", "a\n", "\na", "a\x00", "a\ud800",
     "a{b}", "a%20", "a'b", 'a"b', "\u0661"],
)  # fmt: skip
def test_other_names_are_not(name: str) -> None:
    """63."""
    assert not is_channel_name(name)


@pytest.mark.parametrize("name", ["#", "#server-to-user-1", "#anything", "private-#a"])
def test_names_with_a_hash_are_reserved(name: str) -> None:
    """65."""
    assert not is_channel_name(name)


@pytest.mark.parametrize("name", [None, 1, b"c", ["c"], True])
def test_what_is_not_text_is_no_name(name: object) -> None:
    assert not is_channel_name(name)
    assert not is_event_name(name)
    assert not is_socket_id(name)


def test_a_channel_name_ends_at_200_characters() -> None:
    """64."""
    assert is_channel_name("c" * 200)
    assert not is_channel_name("c" * 201)


def test_an_application_may_be_stricter() -> None:
    """64, Pusher's own limit."""
    assert is_channel_name("c" * 164, 164)
    assert not is_channel_name("c" * 165, 164)


@pytest.mark.parametrize(
    "name",
    ["privateer", "my-private-x", "presence", "private", "cached", "private.x", "Private-x",
     "encrypted-x", "presenc-x", "", "client-x"],
)  # fmt: skip
def test_a_prefix_counts_with_its_hyphen_and_at_the_beginning(name: str) -> None:
    """66, 67."""
    assert kind_of(name) is ChannelKind.PUBLIC
    assert not kind_of(name).guarded


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("private-x", ChannelKind.PRIVATE),
        ("private-", ChannelKind.PRIVATE),
        ("private-encrypted", ChannelKind.PRIVATE),
        ("private-presence-x", ChannelKind.PRIVATE),
        ("presence-x", ChannelKind.PRESENCE),
        ("presence-private-x", ChannelKind.PRESENCE),
        ("private-encrypted-x", ChannelKind.ENCRYPTED),
        ("private-encrypted-", ChannelKind.ENCRYPTED),
    ],
)
def test_the_longest_prefix_wins_and_asks_for_a_signature(name: str, kind: ChannelKind) -> None:
    """80, for the encrypted ones."""
    assert kind_of(name) is kind
    assert kind_of(name).guarded


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("test", "test"),
        ("private-test", "test"),
        ("presence-test", "test"),
        ("private-encrypted-test", "test"),
        ("test-private-channel", "test-private-channel"),
        ("private-private-test", "private-test"),
        ("private-presence-test", "presence-test"),
        ("presence-private-test", "private-test"),
        ("private-encrypted-private-123", "private-123"),
        ("public-test", "public-test"),
    ],
)
def test_rules_see_a_name_without_its_one_prefix(name: str, base: str) -> None:
    assert base_name(name) == base


@pytest.mark.parametrize("name", ["e", "App\\Events\\X", ".order shipped", "client-x", "é", "1"])
def test_a_program_may_call_its_events_nearly_anything(name: str) -> None:
    assert is_event_name(name)


@pytest.mark.parametrize("name", ["", "pusher:x", "pusher:", "pusher_internal:x", "e" * 201])
def test_an_event_is_not_empty_reserved_or_long(name: str) -> None:
    assert not is_event_name(name)


def test_an_event_name_ends_at_200_characters() -> None:
    """129, for programs."""
    assert is_event_name("e" * 200)
    assert not is_event_name("e" * 11, 10)


@pytest.mark.parametrize("text", ["1.1", "123456.789012", "0.0", "9" * 31 + "." + "9" * 32])
def test_a_socket_id_is_two_numbers(text: str) -> None:
    """3."""
    assert is_socket_id(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "1", "1.", ".1", "1.1.1", "1.1\n", "\n1.1", " 1.1", "1,1", "-1.1", "1.1:private-x",
     "1:1", "1.1:", "a.1", "1.x", "¹.1", "\u0661.\u0661", "1" * 32 + "." + "1" * 32],
)  # fmt: skip
def test_anything_else_in_its_place_could_forge_a_signature(text: str) -> None:
    assert not is_socket_id(text)
