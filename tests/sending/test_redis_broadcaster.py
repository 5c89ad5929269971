"""What laravel-echo-server hears."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters.redis import RedisBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcasterUnavailable, EncryptionUnavailable, NotSupported
from tests.conftest import PUBLISH_LIMIT, Valkey
from tests.live import PATIENCE

GRACE = 0.5
SOCKET = "QbTbk1Pw-VJx_nRXAAAB"


def shipped(*channels: str, socket: str | None = SOCKET) -> Broadcast:
    return Broadcast(
        name="Order\\Shipped",
        channels=channels or ("private-orders.1",),
        data='{"id":1,"name":"é"}',
        broadcaster="redis",
        except_socket=socket,
    )


Next = Callable[[], tuple[str, Any]]


@pytest.fixture
def heard(valkey: Valkey) -> Iterator[Next]:
    """Subscribe to everything, as that server does; return the next message."""
    client = redis.Redis.from_url(valkey.url)
    with client.pubsub() as pubsub:
        pubsub.psubscribe("app_*")
        assert pubsub.get_message(timeout=5)

        def following() -> tuple[str, Any]:
            message = pubsub.get_message(timeout=5)
            assert message is not None
            return message["channel"].decode(), json.loads(message["data"])

        yield following
    client.close()


@pytest.fixture
def broadcaster(valkey: Valkey) -> RedisBroadcaster:
    return RedisBroadcaster({"url": valkey.url, "prefix": "app_"})


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_one_message_for_each_channel(
    broadcaster: RedisBroadcaster, heard: Next, colour: str
) -> None:
    """App 17: shape and prefix."""
    broadcast = shipped("private-orders.1", "news")
    if colour == "sync":
        broadcaster.broadcast(broadcast)
    else:
        await broadcaster.abroadcast(broadcast)
    content = {
        "event": "Order\\Shipped",
        "data": {"id": 1, "name": "é"},
        "socket": SOCKET,
    }
    assert [heard(), heard()] == [("app_private-orders.1", content), ("app_news", content)]


def test_everybody_hears_where_nobody_is_left_out(
    broadcaster: RedisBroadcaster, heard: Next
) -> None:
    broadcaster.broadcast(shipped(socket=None))
    assert heard()[1]["socket"] is None


@pytest.mark.parametrize(
    "socket", ["undefined", "123.456", SOCKET[1:], SOCKET + '"', SOCKET + "\n"]
)
def test_an_id_of_another_kind_of_client_leaves_nobody_out(
    broadcaster: RedisBroadcaster, heard: Next, socket: str
) -> None:
    broadcaster.broadcast(shipped(socket=socket))
    assert heard()[1]["socket"] is None


def test_what_it_cannot_encrypt_it_refuses(broadcaster: RedisBroadcaster) -> None:
    with pytest.raises(EncryptionUnavailable, match="redis"):
        broadcaster.check(shipped("private-encrypted-a"))


def test_what_is_for_one_user_does_not_become_public(broadcaster: RedisBroadcaster) -> None:
    with pytest.raises(NotSupported, match="#server-to-user-7"):
        broadcaster.broadcast(shipped("#server-to-user-7"))


async def test_hundreds_may_leave_at_once(broadcaster: RedisBroadcaster, heard: Next) -> None:
    names = [f"news.{number}" for number in range(300)]
    await asyncio.gather(*(broadcaster.abroadcast(shipped(name)) for name in names))
    assert sorted(heard()[0] for _ in names) == sorted(f"app_{name}" for name in names)


@pytest.mark.usefixtures("limited")
async def test_a_dead_server_costs_one_timeout(own_valkey: Valkey) -> None:
    broadcaster = RedisBroadcaster({"url": own_valkey.url})
    broadcaster.broadcast(shipped())
    await broadcaster.abroadcast(shipped())
    pid = own_valkey.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        for limit in (PUBLISH_LIMIT + GRACE, 0.05):
            began = time.monotonic()
            with pytest.raises(BroadcasterUnavailable, match="Redis at"):
                await broadcaster.abroadcast(shipped())
            assert time.monotonic() - began < limit
            with pytest.raises(BroadcasterUnavailable):
                broadcaster.broadcast(shipped())
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_url_is_wanted_and_never_shown() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'url' of 'redis'") as refused:
        RedisBroadcaster({"url": "http://user:geheim@host"})
    assert "geheim" not in str(refused.value)


async def test_closing_lets_the_next_send_open_again(own_valkey: Valkey) -> None:
    broadcaster = RedisBroadcaster({"url": own_valkey.url})
    await broadcaster.aclose()  # nothing was opened yet
    admin = redis.Redis.from_url(own_valkey.url)
    try:
        for _ in range(2):
            broadcaster.broadcast(shipped())
            await broadcaster.abroadcast(shipped())
            assert len(admin.client_list()) == 3
            broadcaster.close()
            await broadcaster.aclose()
            until_alone(admin)
    finally:
        admin.close()


def until_alone(admin: redis.Redis) -> None:
    """Return once no other connection is left; the server takes a moment to notice."""
    deadline = time.monotonic() + PATIENCE
    while len(admin.client_list()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_closing_cuts_off_nobody(own_valkey: Valkey) -> None:
    """The loop behind it serves every thread."""
    broadcaster = RedisBroadcaster({"url": own_valkey.url})
    for _ in range(20):
        sending = [asyncio.create_task(broadcaster.abroadcast(shipped())) for _ in range(5)]
        await asyncio.sleep(0)
        await broadcaster.aclose()
        await asyncio.gather(*sending)
    await broadcaster.aclose()
    admin = redis.Redis.from_url(own_valkey.url)
    until_alone(admin)
    admin.close()
