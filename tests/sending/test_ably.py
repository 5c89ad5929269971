"""The driver ``ably`` against a stand-in: what its REST API is asked, as Ably documents it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasters.ably import AblyBroadcaster
from broadcasting.broadcasters.ably.broadcaster import HOST
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import (
    BroadcasterUnavailable,
    BroadcastRefused,
    EncryptionUnavailable,
    NotSupported,
)
from tests.live import free_port
from tests.webhooks.receiver import HANG, Receiver, receiving

SECRET = "very-secret-indeed-of-43-characters-as-abl"
KEY = f"app.key:{SECRET}"
Published = list[tuple[list[str], dict[str, Any]]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(lambda number, path, webhook_id: 201) as receiver:
        yield receiver


def ably(port: int, **options: Any) -> AblyBroadcaster:
    base = {"key": KEY, "host": "localhost", "port": port, "use_tls": False}
    return AblyBroadcaster({**base, **options})


def made(*channels: str, **values: Any) -> Broadcast:
    values = {"name": "OrderShipped", "data": '{"id":1}', "broadcaster": "a"} | values
    return Broadcast(channels=channels, **values)


def socket_id(**changes: Any) -> str:
    said = {"connectionKey": "app!1-2", "clientId": "7", **changes}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


async def send(broadcaster: AblyBroadcaster, colour: str, broadcast: Broadcast) -> None:
    """Send in one colour, and let the connections go."""
    try:
        if colour == "sync":
            broadcaster.broadcast(broadcast)
        else:
            await broadcaster.abroadcast(broadcast)
    finally:
        broadcaster.close()
        await broadcaster.aclose()


def published(receiver: Receiver) -> Published:
    """Return channels and message of each request, once it is what Ably takes."""
    found: Published = []
    for request in receiver.requests:
        scheme, _, credentials = request.headers["authorization"].partition(" ")
        assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", KEY)
        assert request.headers["content-type"] == "application/json"
        content = request.content
        if request.path == "/messages":
            channels, message = content["channels"], content["messages"]
            assert set(content) == {"channels", "messages"}
        else:
            _, where, name, what = request.path.split("/")
            assert (where, what) == ("channels", "messages")
            assert ":" not in name
            channels, message = [unquote(name)], content
        assert len(channels) <= 100
        allowed = {"id", "name", "data", "encoding", "connectionKey", "clientId"}
        assert set(message) <= allowed
        assert message["encoding"] == "json"
        found.append((channels, message | {"data": json.loads(message["data"])}))
    return found


both = pytest.mark.parametrize("colour", ["sync", "async"])


@both
@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("private-orders.1", "private:orders.1"),
        ("presence-chat.1", "presence:chat.1"),
        ("news", "public:news"),
        ("privateer", "public:privateer"),
        ("a=@,;", "public:a=@,;"),
    ],
)
async def test_channels_have_other_names_there(
    receiver: Receiver, colour: str, channel: str, name: str
) -> None:
    broadcast = made(channel)
    await send(ably(receiver.port), colour, broadcast)
    message = {"name": "OrderShipped", "data": {"id": 1}, "encoding": "json", "id": broadcast.id}
    assert published(receiver) == [([name], message)]


@both
async def test_many_channels_are_a_request_for_each_hundred(
    receiver: Receiver, colour: str
) -> None:
    names = [f"private-orders.{number}" for number in range(101)]
    await send(ably(receiver.port), colour, made(*names))
    assert [len(channels) for channels, _ in published(receiver)] == [100, 1]


@both
async def test_without_a_channel_nothing_is_asked(receiver: Receiver, colour: str) -> None:
    await send(ably(receiver.port), colour, made())
    assert not receiver.requests


@both
async def test_the_sender_is_left_out_by_its_connection(receiver: Receiver, colour: str) -> None:
    await send(ably(receiver.port), colour, made("a", "b", except_socket=socket_id()))
    for _, message in published(receiver):
        assert (message["connectionKey"], message["clientId"]) == ("app!1-2", "7")
    assert [channels for channels, _ in published(receiver)] == [["public:a"], ["public:b"]]


@both
async def test_a_connection_that_ably_does_not_know_keeps_nothing_from_the_others(
    receiver: Receiver, colour: str
) -> None:
    receiver.answer = lambda number, path, webhook_id: 400 if number == 1 else 201
    await send(ably(receiver.port), colour, made("a", except_socket=socket_id()))
    (_, refused), (channels, taken) = published(receiver)
    assert "connectionKey" in refused
    assert not {"connectionKey", "clientId"} & set(taken)
    assert (channels, taken["id"]) == (["public:a"], refused["id"])


@both
async def test_what_is_refused_for_another_reason_is_raised(
    receiver: Receiver, colour: str
) -> None:
    receiver.answer = lambda number, path, webhook_id: 401
    with pytest.raises(BroadcastRefused):
        await send(ably(receiver.port), colour, made("a", except_socket=socket_id()))
    assert receiver.seen == 2


async def test_a_guest_has_a_connection_without_a_name(receiver: Receiver) -> None:
    await send(ably(receiver.port), "sync", made("a", except_socket=socket_id(clientId=None)))
    ((_, message),) = published(receiver)
    assert message["connectionKey"] == "app!1-2"
    assert "clientId" not in message


@pytest.mark.parametrize("text", ["undefined", "1.2", socket_id(connectionKey=""), "e30"])
async def test_an_id_of_another_kind_of_client_leaves_nobody_out(
    receiver: Receiver, text: str
) -> None:
    await send(ably(receiver.port), "sync", made("a", except_socket=text))
    ((_, message),) = published(receiver)
    assert not {"connectionKey", "clientId"} & set(message)


@both
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, BroadcasterUnavailable),
        (429, BroadcasterUnavailable),
        (401, BroadcastRefused),
        (400, BroadcastRefused),
    ],
)
async def test_what_ably_does_not_take_is_raised(
    receiver: Receiver, colour: str, status: int, error: type[BroadcastRefused]
) -> None:
    receiver.answer = lambda number, path, webhook_id: status
    with pytest.raises(error) as raised:
        await send(ably(receiver.port), colour, made("a"))
    assert raised.value.status == status
    assert SECRET not in str(raised.value)


@both
async def test_a_silent_server_costs_one_timeout(receiver: Receiver, colour: str) -> None:
    receiver.answer = lambda number, path, webhook_id: HANG
    broadcaster = ably(receiver.port, timeout=0.1)
    with pytest.raises(BroadcasterUnavailable):
        await send(broadcaster, colour, made("a"))
    with pytest.raises(BroadcasterUnavailable, match="a moment ago"):
        await send(broadcaster, colour, made("a"))
    assert receiver.seen == 1


@both
async def test_nobody_there_is_told(colour: str) -> None:
    with pytest.raises(BroadcasterUnavailable):
        await send(ably(free_port()), colour, made("a"))


def test_what_it_cannot_keep_secret_is_refused_when_it_is_handed_on() -> None:
    broadcaster = ably(1)
    with pytest.raises(EncryptionUnavailable, match="private-encrypted-a: the 'ably'"):
        broadcaster.check(made("private-encrypted-a"))
    with pytest.raises(NotSupported, match="#server-to-user-7"):
        broadcaster.check(made("#server-to-user-7"))


@pytest.mark.parametrize("key", [None, "", "app.key", "app:secret", ":", "app.key:", 7])
def test_a_key_is_wanted_and_never_shown(key: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'app\.key:secret'"):
        AblyBroadcaster({"key": key})


@pytest.mark.parametrize("name", ["timeout", "token_expiry"])
@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_durations_are_more_than_nothing(name: str, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        ably(1, **{name: value})


def test_the_secret_is_in_no_repr() -> None:
    broadcaster = ably(1)
    assert SECRET not in repr((broadcaster, broadcaster.key, broadcaster.client))


def test_settings_name_it_briefly() -> None:
    broadcaster = broadcasters.build({"BACKEND": "ably", "OPTIONS": {"key": KEY}})
    assert isinstance(broadcaster, AblyBroadcaster)
    assert broadcaster.client.base_url == f"https://{HOST}:443"
    with pytest.raises(ImproperlyConfigured, match="'secret'"):
        broadcasters.build({"BACKEND": "ably", "OPTIONS": {"key": KEY, "secret": "s"}})
