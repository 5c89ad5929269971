from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis.strategies import text

from broadcasting import (
    Channel,
    EncryptedPrivateChannel,
    PresenceChannel,
    PrivateChannel,
    UserChannel,
)
from broadcasting.channels import as_channels, from_wire
from broadcasting.exceptions import InvalidChannelName
from broadcasting.protocol.names import ChannelKind
from tests.testapp.models import Order


class Room:
    def broadcast_channel(self) -> str:
        return "chat.7"


class ProxyOrder(Order):
    class Meta:
        proxy = True
        app_label = "testapp"


@pytest.mark.parametrize(
    ("channel", "wire", "kind"),
    [
        (Channel("orders"), "orders", ChannelKind.PUBLIC),
        (PrivateChannel("orders"), "private-orders", ChannelKind.PRIVATE),
        (PresenceChannel("orders"), "presence-orders", ChannelKind.PRESENCE),
        (EncryptedPrivateChannel("orders"), "private-encrypted-orders", ChannelKind.ENCRYPTED),
    ],
)
def test_each_kind_adds_its_prefix(channel: Channel, wire: str, kind: ChannelKind) -> None:
    assert (channel.name, str(channel), channel.base, channel.kind) == (wire, wire, "orders", kind)
    assert from_wire(wire) == channel
    assert type(from_wire(wire)) is type(channel)


def test_channels_are_values() -> None:
    channel = PrivateChannel("orders.1")
    assert channel == PrivateChannel("orders.1") == Channel("private-orders.1")
    assert len({channel, PrivateChannel("orders.1"), Channel("orders.1")}) == 2
    assert channel != "private-orders.1"
    assert repr(channel) == "PrivateChannel('orders.1')"
    assert copy.copy(channel) == pickle.loads(pickle.dumps(channel)) == channel  # noqa: S301
    with pytest.raises(AttributeError):
        channel.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("user", "user_id"),
    [
        (User(pk=7), "7"),
        (SimpleLazyObject(lambda: User(pk=7)), "7"),
        (7, "7"),
        ("ada@example.com", "ada@example.com"),
        ("Ada Ω", "Ada Ω"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_user_has_a_channel_of_their_own(user: Any, user_id: str) -> None:
    channel = UserChannel(user)
    assert (str(channel), channel.base) == (f"#server-to-user-{user_id}", user_id)
    assert channel == from_wire(channel.name) == as_channels(channel.name)[0]
    assert isinstance(from_wire(channel.name), UserChannel)
    assert repr(channel) == f"UserChannel({user_id!r})"


@pytest.mark.parametrize("user", ["", "x" * 129, "a\nb", "\ud800", User(), AnonymousUser()])
def test_an_id_that_nobody_signs_in_with_is_refused(user: Any) -> None:
    with pytest.raises(InvalidChannelName):
        UserChannel(user)


@pytest.mark.parametrize("user", [None, True, b"7", 1.5, object()])
def test_only_users_have_one(user: Any) -> None:
    with pytest.raises(TypeError, match="A user is given by"):
        UserChannel(user)


@pytest.mark.parametrize("name", ["#orders", "#server-to-user-", "#server-to-user", "#control"])
def test_what_else_begins_like_that_is_refused(name: str) -> None:
    with pytest.raises(InvalidChannelName):
        from_wire(name)


@pytest.mark.parametrize("cls", [Channel, PrivateChannel, PresenceChannel, EncryptedPrivateChannel])
def test_a_model_names_its_own_channel(cls: type[Channel]) -> None:
    assert cls(Order(pk=7)).base == "testapp.Order.7"
    assert cls(ProxyOrder(pk=7)).base == "testapp.Order.7"
    assert cls(User(pk=3)).base == "auth.User.3"
    assert cls(Room()).base == "chat.7"


def test_an_unsaved_model_has_no_channel() -> None:
    with pytest.raises(InvalidChannelName, match="Order is not saved"):
        PrivateChannel(Order())


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "a\n", "ä", "x" * 201])
def test_names_outside_the_grammar_are_refused(name: str) -> None:
    with pytest.raises(InvalidChannelName, match="is not a channel name"):
        Channel(name)


def test_the_prefix_counts_towards_the_length() -> None:
    assert len(PrivateChannel("x" * 192).name) == 200
    with pytest.raises(InvalidChannelName):
        PrivateChannel("x" * 193)


@pytest.mark.parametrize("value", [7, None, b"orders", Channel("orders"), object()])
def test_only_text_and_models_name_a_channel(value: Any) -> None:
    with pytest.raises(TypeError, match="named by text or by a model"):
        PrivateChannel(value)


def test_what_broadcast_on_returns_becomes_channels_in_order_and_once() -> None:
    def several() -> Iterator[Any]:
        yield "orders"
        yield PrivateChannel("orders.1")
        yield Order(pk=1)
        yield "private-orders.1"
        yield PresenceChannel("chat.7")

    names = [channel.name for channel in as_channels(several())]
    assert names == ["orders", "private-orders.1", "private-testapp.Order.1", "presence-chat.7"]


def test_text_is_a_wire_name() -> None:
    (channel,) = as_channels("presence-chat.1")
    assert isinstance(channel, PresenceChannel)
    assert channel.base == "chat.1"


@pytest.mark.parametrize("nothing", [None, [], (), iter(())])
def test_nothing_is_no_channel(nothing: Any) -> None:
    assert as_channels(nothing) == ()


@pytest.mark.parametrize("wrong", [7, {"default": ["orders"]}, [None], ["orders", 7], object()])
def test_anything_else_is_a_mistake(wrong: Any) -> None:
    with pytest.raises(TypeError):
        as_channels(wrong)


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (Channel, "cache-a"),
        (PrivateChannel, "private-cache-a"),
        (PresenceChannel, "presence-cache-a"),
        (EncryptedPrivateChannel, "private-encrypted-cache-a"),
    ],
)
def test_a_channel_may_be_one_that_keeps_its_last_event(kind: type[Channel], wire: str) -> None:
    channel = kind("a", cache=True)
    assert (str(channel), channel.base, from_wire(wire)) == (wire, "a", channel)
    assert str(kind(Order(pk=1), cache=True)).endswith("cache-testapp.Order.1")


@given(text())
def test_any_text_is_quoted_as_one_part_of_a_name_and_back(anything: str) -> None:
    quoted = Channel.quote(anything)
    assert Channel.unquote(quoted) == anything
    assert "." not in quoted
    if len(quoted) in range(1, 200):
        assert Channel(quoted).name == quoted


def test_what_is_quoted_can_still_be_read() -> None:
    assert Channel.quote("ada@example.com") == "ada@example=2Ecom"
    assert Channel.quote("é=") == "=C3=A9=3D"


@pytest.mark.parametrize("name", ["a.b", "=61", "=C3", "=c3=a9", "=2", "a=", "é"])
def test_what_nobody_quoted_is_not_unquoted(name: str) -> None:
    """Else two names would stand for one thing."""
    with pytest.raises(ValueError, match=r".+"):
        Channel.unquote(name)
