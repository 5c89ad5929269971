"""Nothing of a socket that went stays behind, however it went and whatever hangs."""

from __future__ import annotations

import asyncio

import pytest
from django.conf import settings
from django.test import override_settings

from broadcasting.backplanes.base import Subscription
from broadcasting.conf import ServerSettings
from broadcasting.protocol.protocol import Member
from broadcasting.registry import Left
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server import node as nodes
from broadcasting.server.frames import Frame
from broadcasting.server.interests import Interests
from broadcasting.server.node import LEAVES_A_TURN, Node, get_node
from broadcasting.testing.client import PusherClient
from tests.server.fakes import FakeSocket, StalledSocket, connection
from tests.testapp.events import Ticked


class HangingSubscription(Subscription):
    """A backplane that takes topics and never finishes leaving one."""

    async def join(self, app_id: str, channel: str) -> None:
        """At once."""

    async def leave(self, app_id: str, channel: str) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """At once."""


def hanging_node() -> Node:
    node = get_node()
    node.interests = Interests(HangingSubscription())
    return node


async def test_a_backplane_that_hangs_makes_no_ghost_members():
    node, bob = hanging_node(), FakeSocket()
    gone, stays = connection(FakeSocket(), "1.1"), connection(bob, "2.2")
    await node.connect(gone)
    await node.connect(stays)
    await node.subscriptions.enter(gone, "alone", None)
    await node.subscriptions.enter(gone, "presence-chat", Member(user_id="ada"))
    await node.subscriptions.enter(stays, "presence-chat", Member(user_id="bob"))
    async with asyncio.timeout(1):
        await node.disconnect(gone)
    node.hub.flush()
    assert "member_removed" in bob.texts[-1]
    assert node.hub.count(("app", "alone")) == 0
    assert (await node.registry.occupancy("app", "alone")).sockets == 0
    await node.disconnect(stays)


async def test_a_peer_that_reads_nothing_is_given_up_after_its_ping():
    node = Node(ServerSettings(activity_timeout=0.04, pong_timeout=0.02))
    consumer = asyncio.create_task(asyncio.Event().wait())
    stalled = connection(StalledSocket(), task=consumer)
    await node.connect(stalled)
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await consumer
    assert node.counters.stale_closed == 1
    await node.disconnect(stalled)


async def test_a_channel_that_cannot_be_left_keeps_nobody_in_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    node, bob = get_node(), FakeSocket()
    gone, stays = connection(FakeSocket(), "1.1"), connection(bob, "2.2")
    await node.connect(gone)
    await node.connect(stays)
    await node.subscriptions.enter(gone, "broken", None)
    await node.subscriptions.enter(gone, "presence-chat", Member(user_id="ada"))
    await node.subscriptions.enter(stays, "presence-chat", Member(user_id="bob"))
    leave = node.registry.leave

    async def failing(app_id: str, channel: str, socket_id: str) -> Left:
        if channel == "broken":
            raise RuntimeError("mine")
        return await leave(app_id, channel, socket_id)

    monkeypatch.setattr(node.registry, "leave", failing)
    await node.disconnect(gone)
    node.hub.flush()
    assert "member_removed" in bob.texts[-1]
    assert "RuntimeError: mine" in caplog.text
    assert node.counters.failures == 1
    monkeypatch.undo()
    await node.registry.leave("app", "broken", "1.1")
    await node.disconnect(stays)


async def test_a_peer_that_does_not_even_read_its_close_is_given_up():
    node = Node(ServerSettings(activity_timeout=0.04, pong_timeout=0.02, outbox_bytes=5))
    consumer = asyncio.create_task(asyncio.Event().wait())
    stalled = connection(StalledSocket(), settings=node.settings, task=consumer)
    await node.connect(stalled)
    stalled.send(Frame("one too many"))
    assert stalled.closing
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await consumer
    await node.disconnect(stalled)


def test_a_closed_loop_keeps_no_node():
    async def visit() -> None:
        get_node()

    for _ in range(3):
        asyncio.run(visit())
    assert sum(loop.is_closed() for loop in nodes._nodes) <= 1


def test_other_settings_make_another_node():
    with PusherClient() as client:
        client.subscribe("ticker")
    with (
        override_settings(BROADCASTING=settings.BROADCASTING | {"PUBLISH_TIMEOUT": 0.5}),
        PusherClient() as client,
    ):
        client.subscribe("ticker")
        Ticked(7).dispatch()
        assert client.receive().data == {"number": 7}


async def test_who_leaves_many_channels_lets_others_speak():
    node, many = get_node(), LEAVES_A_TURN * 3
    gone = connection(FakeSocket(), "1.1")
    await node.connect(gone)
    for number in range(many):
        await node.subscriptions.enter(gone, f"c{number}")
    turns = 0
    leaving = asyncio.create_task(node.disconnect(gone))
    while not leaving.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 3
    assert await node.registry.channels("app") == {}


async def test_a_goodbye_is_not_cut_short_with_its_consumer():
    """A registry that waits, and a server that cancels whoever waits for it."""

    class Slow(MemoryRegistry):
        async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
            await asyncio.sleep(0.001)
            return await super().leave(app_id, channel, socket_id)

    node = get_node()
    node.registry = Slow({})
    gone = connection(FakeSocket(), "1.1")
    await node.connect(gone)
    for channel in ("a", "b", "c"):
        await node.subscriptions.enter(gone, channel)
    consumer = asyncio.create_task(node.disconnect(gone))
    await asyncio.sleep(0)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    async with asyncio.timeout(5):
        await asyncio.gather(*node._forgetting)
    assert await node.registry.channels("app") == {}
    assert [node.hub.count(("app", channel)) for channel in "abc"] == [0, 0, 0]


async def test_a_place_is_free_as_soon_as_its_socket_goes():
    """17: 4004 keeps clients away for good, so nobody may be told it without need."""
    node = get_node()
    gone = connection(FakeSocket(), "1.1")
    await node.connect(gone)
    await node.subscriptions.enter(gone, "c")
    goodbye = node.disconnect(gone)
    with pytest.raises(StopIteration):  # done in one step, with or without a loop that runs
        goodbye.send(None)
    assert node.holds("app") == 0
    assert await node.registry.channels("app") == {}
