"""What the driver ``pusher`` puts on the wire, in both colours: bodies, batches, connections."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from asgiref.sync import sync_to_async

from broadcasting import Dispatch, EncryptedPrivateChannel, ShouldBroadcast
from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.channels import Target
from broadcasting.encoding import encode
from broadcasting.protocol.signing import request_text, sign
from tests.webhooks.receiver import Receiver, Request, receiving

SECRET = "app-secret"
MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

both = pytest.mark.parametrize("colour", ["sync", "async"])


class OrderShipped(ShouldBroadcast):
    id: Any
    channels: list[Target]

    def broadcast_on(self) -> list[Target]:
        return self.channels

    def broadcast_with(self) -> Any:
        return {"id": self.id}


def entry(receiver: Receiver, **options: Any) -> dict[str, Any]:
    base = {"app_id": "app-id", "key": "app-key", "secret": SECRET, "host": "localhost"}
    return {
        "BACKEND": "pusher",
        "OPTIONS": {**base, "port": receiver.port, "use_tls": False, **options},
    }


@pytest.fixture
def receiver(configure: Any) -> Iterator[Receiver]:
    with receiving() as receiver:
        options = {"encryption_master_key": MASTER_KEY}
        configure(BROADCASTERS={"default": entry(receiver, **options)})
        yield receiver


def close_after(event: Dispatch) -> None:
    event.dispatch()
    broadcasters.close()


async def dispatch(colour: str, channels: list[Target], text: Any = 1) -> None:
    """Send an event, and let the connections go."""
    event = OrderShipped(text, channels).now()
    if colour == "sync":
        # Off the loop, where it may wait for the answer.
        await sync_to_async(close_after)(event)
    else:
        await event.adispatch()
        await broadcasters.aclose()


async def dispatch_batch(colour: str, text: Any) -> None:
    """Send two events in one request."""
    two = [
        Broadcast(channels=("a",), name="n", data=encode({"id": text}), broadcaster="default")
        for _ in range(2)
    ]
    if colour == "sync":
        await sync_to_async(broadcasters["default"].broadcast_many)(two)
        broadcasters.close()
    else:
        await broadcasters["default"].abroadcast_many(two)
        await broadcasters.aclose()


def query_of(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.path).query))


@both
async def test_an_event_is_asked_for_as_published(receiver: Receiver, colour: str) -> None:
    """App 1: the very body of our own vector, whatever asks for it."""
    await dispatch(colour, ["private-orders.1"])
    [request] = receiver.requests
    assert urlsplit(request.path).path == "/apps/app-id/events"
    assert request.content == {
        "name": "OrderShipped",
        "data": '{"id":1}',
        "channel": "private-orders.1",
    }
    query = query_of(request)
    assert query["body_md5"] == "c0e2777b7a59b7eb3fb1064e5ebc6f20"
    at = query | {"auth_timestamp": "1700000000"}
    assert sign(SECRET, request_text("POST", "/apps/app-id/events", at)) == (
        "92ff28a9f603e44ff33b5a35246a1c51b03625523b02479b4b4ce7cafa677d56"
    )


@both
@pytest.mark.parametrize("text", ["é Ω \U0001f600", "\ud800", '"\\/\u2028</script>', " \t\n"])
async def test_the_body_is_what_was_hashed(receiver: Receiver, colour: str, text: str) -> None:
    """App 2: one channel, several, encrypted ones, and a batch."""
    await dispatch(colour, ["a", "b", EncryptedPrivateChannel("c")], text)
    await dispatch(colour, ["a"], text)
    await dispatch_batch(colour, text)
    paths = [urlsplit(request.path).path.rpartition("/")[2] for request in receiver.requests]
    assert paths == ["events", "events", "events", "batch_events"]
    for request in receiver.requests:
        query = query_of(request)
        path = urlsplit(request.path).path
        digest = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        assert query["body_md5"] == digest
        assert query.pop("auth_signature") == sign(SECRET, request_text("POST", path, query))
        assert request.headers["content-length"] == str(len(request.body))


@both
@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [1]), (2, [2]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])],
)
async def test_channels_are_asked_for_by_the_hundred(
    receiver: Receiver, colour: str, count: int, sizes: list[int]
) -> None:
    """App 3: the number of requests, and ``channel`` against ``channels``."""
    names: list[Target] = [f"c-{number}" for number in range(count)]
    await dispatch(colour, names)
    asked = [request.content for request in receiver.requests]
    assert [len(body.get("channels", [None])) for body in asked] == sizes
    assert all(("channel" in body) == (size == 1) for body, size in zip(asked, sizes, strict=True))
    assert [name for body in asked for name in body.get("channels", [body.get("channel")])] == names


@both
async def test_a_change_of_settings_moves_the_connections(
    receiver: Receiver, colour: str, configure: Any
) -> None:
    """App 24: the next event goes where the settings say, and the old connection ends."""
    event = OrderShipped(1, ["a"]).now()
    with receiving() as elsewhere:
        for target in (receiver, elsewhere):
            configure(BROADCASTERS={"default": entry(target)})
            if colour == "sync":
                await sync_to_async(event.dispatch)()
            else:
                await event.adispatch()
        assert (len(receiver.requests), len(elsewhere.requests)) == (1, 1)
        await asyncio.to_thread(receiver.wait, lambda known: known.connections == 0)
        assert elsewhere.connections == 1
        await sync_to_async(broadcasters.close)()
        await broadcasters.aclose()
