"""One event for real drivers of every kind, some of whose servers are away or refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from broadcasting import ShouldBroadcast
from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcasterUnavailable, BroadcastRefused
from broadcasting.signals import broadcast_failed
from tests.conftest import Valkey
from tests.live import free_port
from tests.webhooks.receiver import Receiver, receiving

HOST = {"host": "localhost", "use_tls": False}
PUSHER = {"app_id": "shop", "key": "k", "secret": "s"}
ALL = ("no-pusher", "ably", "no-redis", "redis", "pusher", "own")


class Shipped(ShouldBroadcast):
    number: int

    def broadcast_on(self) -> str:
        return "orders"


class OwnBroadcaster(BaseBroadcaster):
    """A driver of a project's own, named by its dotted path."""

    sent: list[str] = []  # noqa: RUF012

    def broadcast(self, broadcast: Broadcast) -> None:
        self.sent.append(f"{self.options['sign']} {broadcast.data}")

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes what comes for Pusher, and refuses what comes for Ably."""
    with receiving(
        lambda number, path, webhook_id: 200 if path.startswith("/apps/") else 401
    ) as receiver:
        yield receiver


@pytest.fixture
def pubsub(valkey: Valkey, configure: Any, receiver: Receiver) -> Iterator[redis.client.PubSub]:
    """Hears what goes through Redis; all the drivers are set up."""
    given: dict[str, tuple[str, dict[str, Any]]] = {
        "no-pusher": ("pusher", {**PUSHER, **HOST, "port": free_port()}),
        "ably": ("ably", {"key": "app.key:secret", **HOST, "port": receiver.port}),
        "no-redis": ("redis", {"url": f"redis://127.0.0.1:{free_port()}/0"}),
        "redis": ("redis", {"url": valkey.url}),
        "pusher": ("pusher", {**PUSHER, **HOST, "port": receiver.port}),
        "own": (f"{__name__}.OwnBroadcaster", {"sign": ">"}),
    }
    entries = {alias: {"BACKEND": name, "OPTIONS": more} for alias, (name, more) in given.items()}
    configure(BROADCASTERS=entries, DEFAULT_BROADCASTER="own")
    OwnBroadcaster.sent.clear()
    with redis.Redis.from_url(valkey.url) as client, client.pubsub() as pubsub:
        pubsub.subscribe("orders")
        assert pubsub.get_message(timeout=5)
        yield pubsub
    broadcasters.close()


@pytest.fixture
def told() -> Iterator[dict[str, BaseException]]:
    """What the signal says failed, by broadcaster."""
    found: dict[str, BaseException] = {}

    def note(broadcast: Broadcast, error: BaseException, **facts: Any) -> None:
        found[broadcast.broadcaster] = error

    broadcast_failed.connect(note)
    yield found
    broadcast_failed.disconnect(note)


def check_the_others(pubsub: redis.client.PubSub, receiver: Receiver) -> None:
    message = pubsub.get_message(timeout=5)
    assert message is not None
    assert json.loads(message["data"])["data"] == {"number": 7}
    (request,) = receiver.taken(next(r.path for r in receiver.requests if r.ok))
    assert request.content["data"] == '{"number":7}'
    assert OwnBroadcaster.sent == ['> {"number":7}']


@pytest.mark.parametrize("order", [ALL, ALL[::-1]])
def test_drivers_that_fail_keep_an_event_from_no_other(
    pubsub: redis.client.PubSub,
    receiver: Receiver,
    told: dict[str, BaseException],
    order: tuple[str, ...],
) -> None:
    """App 17: a custom driver by its dotted path among them."""
    with pytest.raises((BroadcasterUnavailable, BroadcastRefused)) as raised:
        Shipped(7).via(*order).dispatch()
    check_the_others(pubsub, receiver)
    assert {alias: type(error) for alias, error in told.items()} == {
        "no-pusher": BroadcasterUnavailable,
        "ably": BroadcastRefused,
        "no-redis": BroadcasterUnavailable,
    }
    notes = "\n".join(raised.value.__notes__)
    failed = [alias for alias in order if alias in told]
    assert raised.value is told[failed[0]]
    for alias in failed[1:]:
        assert f"{alias!r} failed too" in notes


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_rescued_they_raise_nothing(
    pubsub: redis.client.PubSub,
    receiver: Receiver,
    told: dict[str, BaseException],
    configure: Any,
    colour: str,
) -> None:
    configure(RESCUE=True)
    event = Shipped(7).via(*ALL)
    if colour == "sync":
        await asyncio.to_thread(event.dispatch)
    else:
        await event.adispatch()
        await broadcasters.aclose()
    check_the_others(pubsub, receiver)
    assert told.keys() == {"no-pusher", "ably", "no-redis"}
