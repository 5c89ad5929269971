"""A frame that a cache channel keeps reaches everybody once, as a replay or live."""

from __future__ import annotations

import json

from broadcasting.backplanes import Envelope
from broadcasting.protocol import messages
from broadcasting.publishing import publish
from broadcasting.registry import Cached
from broadcasting.server.node import Node, get_node
from tests.server.fakes import FakeSocket, connection

CHANNEL = "cache-scores"


def envelope(number: int, except_socket: str | None = None) -> Envelope:
    frame = messages.event("scored", CHANNEL, str(number))
    return Envelope(app_id="app", channel=CHANNEL, frame=frame, except_socket=except_socket)


def remember(node: Node, kept: Envelope) -> None:
    last = Cached(frame=kept.frame, id=kept.id, ttl=60)
    node.registry.remember("app", CHANNEL, last)


def scores(socket: FakeSocket) -> list[str]:
    frames = [json.loads(text) for text in socket.texts]
    return [frame["data"] for frame in frames if frame["event"] == "scored"]


class Visitor:
    """A socket that joins the channel for a while."""

    def __init__(self, node: Node, socket_id: str) -> None:
        self.node = node
        self.socket = FakeSocket()
        self.connection = connection(self.socket, socket_id)

    async def __aenter__(self) -> FakeSocket:
        await self.node.connect(self.connection)
        await self.node.subscriptions.enter(self.connection, CHANNEL)
        return self.socket

    async def __aexit__(self, *error: object) -> None:
        await self.node.disconnect(self.connection)
        if not self.node.hub.count(("app", CHANNEL)):
            assert self.node.replays.__dict__ == {"_passed": {}, "_ahead": {}}


def deliver(node: Node, arrived: Envelope) -> None:
    """As if the turn of the loop ended with it."""
    node.receive(arrived)
    node.hub.flush()


async def test_what_is_kept_before_it_arrives_comes_once():
    """121: the sender has kept it, and its envelope is still on its way."""
    node = get_node()
    for number in range(2):
        kept = envelope(number)
        remember(node, kept)
        async with Visitor(node, "1.1") as early:
            assert scores(early) == [str(number)]
            deliver(node, kept)
            assert scores(early) == [str(number)]
            async with Visitor(node, "2.2") as late:
                assert scores(late) == [str(number)]
                deliver(node, envelope(7))
                assert scores(late) == scores(early) == [str(number), "7"]


async def test_those_who_were_there_before_get_it_live():
    """121."""
    node = get_node()
    remember(node, envelope(0))
    async with Visitor(node, "1.1") as there:
        kept = envelope(1)
        remember(node, kept)
        async with Visitor(node, "2.2") as newcomer:
            deliver(node, kept)
            assert scores(there) == ["0", "1"]
            assert scores(newcomer) == ["1"]


async def test_the_last_frame_is_the_one_that_was_kept():
    """Two were kept before either arrived, as a view on a thread can do."""
    node = get_node()
    first, second = envelope(1), envelope(2)
    remember(node, first)
    remember(node, second)
    async with Visitor(node, "1.1") as newcomer:
        node.receive(first)
        deliver(node, second)
        assert scores(newcomer) == ["2", "1", "2"]


async def test_whom_the_sender_left_out_may_have_it_later():
    """117."""
    node = get_node()
    async with Visitor(node, "1.1") as sender:
        before = len(scores(sender))
        publish(envelope(5, except_socket="1.1"))
        assert len(scores(sender)) == before
        entered = next(iter(node.connections.values()))
        await node.subscriptions.enter_again(entered, CHANNEL)
        assert scores(sender)[before:] == ["5"]
