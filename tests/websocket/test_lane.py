"""The way past ASGI: in order with it, told of the transport, and shut behind the last frame."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from broadcasting.server import framing
from broadcasting.server.lane import LANE, Lane
from broadcasting.server.websocket import WebSocketProtocol
from broadcasting.typing import Receive, Scope, Send
from tests.websocket.client import CLOSE, PING, PONG, TEXT, close, opened, wire
from tests.websocket.site import Site, echo
from tests.websocket.test_asgi import Asked, accept
from tests.websocket.test_flow import until


class Watch:
    """Keeps what it is told."""

    def __init__(self, lane: Lane | None = None) -> None:
        self.told: list[str] = []
        self.lane = lane
        if lane is not None:
            lane.watcher = self

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def lose(self) -> None:
        self.told.append("lose")
        if self.lane is not None:
            self.lane.write(b"nobody reads this")


async def test_both_ways_keep_one_order(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lane: Lane = scope["extensions"][LANE]
        await accept(receive, send)
        for number in range(0, 3_000, 2):
            lane.write(framing.frame(TEXT, b"%d" % number))
            await send({"type": "websocket.send", "text": str(number + 1)})

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        for number in range(3_000):
            assert await client.frame() == (TEXT, b"%d" % number)
        await asked.came_to()


async def test_a_watcher_is_told_of_a_peer_that_stops_and_goes_on_reading(site: Site):
    watches = []

    async def steps(scope: Scope, receive: Receive, send: Send) -> int:
        lane: Lane = scope["extensions"][LANE]
        await accept(receive, send)
        await asyncio.sleep(0)  # in which the answer to the handshake leaves, and it may write
        watches.append(Watch(lane))
        frames = 0
        while not lane.paused:
            lane.write(framing.frame(TEXT, b"x" * 10_000))
            frames += 1
        assert lane.waiting() > 0
        await send({"type": "websocket.send", "text": "behind"})
        assert [watches[0].told[-1], lane.paused] == ["resume", False]
        return frames

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await until(lambda: watches and watches[0].told)
        while (await client.frame())[1] != b"behind":
            pass
        await asked.came_to()
        assert watches[0].told[:2] == ["pause", "resume"]


@pytest.mark.parametrize("end", ["close", "peer", "cut", "violation"])
async def test_a_watcher_is_told_once_that_nothing_is_written_any_more(site: Site, end: str):
    async def steps(scope: Scope, receive: Receive, send: Send) -> tuple[list[str], bool]:
        lane: Lane = scope["extensions"][LANE]
        await accept(receive, send)
        await asyncio.sleep(0)
        watch = Watch(lane)
        if end == "close":
            await send({"type": "websocket.close"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        lane.write(b"nobody reads this")
        lane.ask()
        return watch.told, lane.watcher is None

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        match end:
            case "cut":
                client.writer.transport.abort()
            case "peer":
                await client.send(close(1000))
            case "violation":
                await client.send(wire(b"", 3))
        if end != "cut":
            assert (await client.frame())[0] == CLOSE
        assert await asked.came_to() == (["lose"], True)
        if end != "cut":
            await client.send(close(1000))
            assert await client.ended() == b""


async def test_pings_and_pongs_are_heard(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> list[float | None]:
        lane: Lane = scope["extensions"][LANE]
        await accept(receive, send)
        heard = [lane.heard_at]
        for _ in range(2):
            lane.ask()
            await receive()
            heard.append(lane.heard_at)
        return [*heard, asyncio.get_running_loop().time()]

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        for opcode in (PING, PONG):
            assert await client.frame() == (PING, b"")
            await client.send(wire(b"", opcode), wire(b"heard"))
            if opcode == PING:
                assert await client.frame() == (PONG, b"")
        never, first, second, now = await asked.came_to()
        assert never is None
        assert first <= second <= now


async def test_what_is_written_at_once_leaves_behind_the_answer(site: Site):
    """In whatever way, and whoever holds what writes."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lane: Lane = scope["extensions"][LANE]
        await accept(receive, send)
        write = lane.write
        write(framing.frame(TEXT, b"1"))
        await send({"type": "websocket.send", "text": "2"})
        write(framing.frame(TEXT, b"3"))
        await asyncio.sleep(0)
        write(framing.frame(TEXT, b"4"))
        await receive()

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        assert [(await client.frame())[1] for _ in range(4)] == [b"1", b"2", b"3", b"4"]
        await client.leave()
        await asked.came_to()


async def test_nothing_is_written_before_the_acceptance(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][LANE].write(b"too early")
        await accept(receive, send)
        await receive()

    Asked(site, steps)
    async with opened(site.port) as client:
        await client.leave()


def alive(kind: type) -> int:
    return sum(type(thing) is kind for thing in gc.get_objects())


@pytest.mark.parametrize("end", ["peer", "cut", "refused"])
async def test_a_socket_is_gone_without_the_garbage_collector(site: Site, end: str):
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        lane: Any = scope["extensions"][LANE]
        lane.watcher = Watch(lane)
        await echo({**scope}, receive, send)

    gc.collect()
    gc.disable()
    try:
        before = alive(WebSocketProtocol)
        site.application = refuse if end == "refused" else watched
        for _ in range(20):
            if end == "refused":
                with pytest.raises(AssertionError):
                    async with opened(site.port):
                        pass
                continue
            async with opened(site.port) as client:
                await client.send(wire(b"a"))
                await client.frame()
                if end == "peer":
                    await client.leave()
        await until(lambda: alive(WebSocketProtocol) <= before)
    finally:
        gc.enable()
