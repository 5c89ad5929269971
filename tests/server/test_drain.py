"""How a node sends its sockets away: in random order, over a while, within a deadline."""

from __future__ import annotations

import asyncio

import pytest

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import HandshakeRefused
from broadcasting.server.connection import Connection
from broadcasting.server.drain import Drain
from broadcasting.server.frames import Frame
from broadcasting.server.node import FEW_REDIRECTS, Node
from tests.server.fakes import FakeSocket, connection


async def crowded(size: int, **changes: float) -> tuple[Node, list[Connection]]:
    node = Node(ServerSettings(**changes))  # type: ignore[arg-type]
    crowd = [connection(FakeSocket(), f"1.{number}") for number in range(size)]
    for one in crowd:
        await node.connect(one)
    return node, crowd


def order_of(crowd: list[Connection]) -> list[str]:
    return [one.socket_id for one in crowd if one.closing]


async def test_sockets_go_one_after_the_other():
    node, crowd = await crowded(6, drain_rate=20)
    drain = asyncio.create_task(Drain(node).send_away())
    while not order_of(crowd):
        await asyncio.sleep(0)
    assert len(order_of(crowd)) == 1
    assert node.draining
    await drain
    assert len(order_of(crowd)) == 6


async def test_the_order_is_nobody_s():
    firsts = set[str]()
    for _ in range(30):
        node, crowd = await crowded(6, drain_rate=1_000)
        drain = asyncio.create_task(Drain(node).send_away())
        while not order_of(crowd):
            await asyncio.sleep(0)
        firsts |= set(order_of(crowd)[:1])
        await drain
    assert len(firsts) > 1


async def test_whoever_is_here_still_hears_before_its_goodbye():
    node, socket = Node(ServerSettings()), FakeSocket()
    one = connection(socket, "1.1")
    await node.connect(one)
    node.hub.join(("app", "news"), one)
    node.hub.send(("app", "news"), Frame('{"event":"last"}'))
    await Drain(node).send_away()
    assert ["last" in text for text in socket.texts[-2:]] == [True, False]
    assert socket.close_code == 4200


@pytest.mark.parametrize(("sockets", "at_once"), [(0, FEW_REDIRECTS), (30, 30)])
async def test_newcomers_that_nobody_else_takes_in_return_with_a_pause(sockets: int, at_once: int):
    node, _ = await crowded(sockets)
    await Drain(node).send_away()
    codes = []
    for number in range(at_once + 5):
        with pytest.raises(HandshakeRefused) as refused:
            node.check_capacity(connection(FakeSocket(), f"2.{number}").protocol)
        codes.append(refused.value.code)
    assert codes == [4200] * at_once + [4100] * 5


async def test_a_crowd_goes_faster_than_it_should_where_the_deadline_wants_it():
    node, crowd = await crowded(50, drain_rate=1, drain_seconds=0.4)
    async with asyncio.timeout(5):
        await Drain(node).send_away()
    assert len(order_of(crowd)) == 50


async def test_a_hurry_cuts_every_wait_short():
    node, crowd = await crowded(3, drain_delay=3600, drain_rate=1, drain_seconds=3600)
    drain = Drain(node)
    announced = asyncio.create_task(drain.announce())
    await asyncio.sleep(0)
    assert node.leaving
    assert not node.draining
    drain.hurry()
    async with asyncio.timeout(5):
        await announced
        await drain.send_away()
    await node.stop()
    assert len(order_of(crowd)) == 3
