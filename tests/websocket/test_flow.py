"""Peers and applications of unequal speed: bounded both ways, and in nobody's way."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from broadcasting.server import framing
from broadcasting.server.endpoint import HIGH_WATER
from broadcasting.server.lane import LANE
from broadcasting.typing import Receive, Scope, Send
from tests.live import PATIENCE
from tests.websocket.client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, opened, wire
from tests.websocket.site import Site, echo
from tests.websocket.test_asgi import Asked, accept

MESSAGE = b"x" * 10_000


class Gate:
    """Opened by the test, waited for in the server's loop."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def passed(self) -> None:
        assert await asyncio.to_thread(self._open.wait, PATIENCE)


async def until(happened: Any) -> None:
    """Return once ``happened()``, of which nobody tells."""
    async with asyncio.timeout(PATIENCE):
        while not happened():
            await asyncio.sleep(0.001)


async def test_what_an_application_does_not_take_is_not_read(site: Site):
    gate, lanes = Gate(), []

    async def steps(scope: Scope, receive: Receive, send: Send) -> int:
        lanes.append(scope["extensions"][LANE])
        await accept(receive, send)
        await gate.passed()
        size = 0
        while (message := await receive())["type"] == "websocket.receive":
            size += len(message["text"])
            if size == 3_000 * len(MESSAGE):
                break
        return size

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        sending = asyncio.create_task(client.send(*[wire(MESSAGE)] * 3_000))
        await until(lambda: not lanes[0].transport.is_reading())
        # 30 MB are more than the kernel takes for a server that does not read.
        assert not sending.done()
        gate.open()
        assert await asked.came_to() == 3_000 * len(MESSAGE)
        await sending


async def test_an_application_waits_for_a_peer_that_does_not_read(site: Site):
    lanes, sent = [], []

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lanes.append(scope["extensions"][LANE])
        await accept(receive, send)
        for number in range(3_000):
            sent.append(number)
            await send({"type": "websocket.send", "bytes": b"%05d" % number + MESSAGE})
        await send({"type": "websocket.close"})

    Asked(site, steps)
    async with opened(site.port) as client:
        await until(lambda: lanes and lanes[0].paused)
        assert len(sent) < 3_000
        assert lanes[0].waiting() <= HIGH_WATER + 2 * len(MESSAGE)
        for number in range(3_000):
            _, payload = await client.frame()
            assert payload[:5] == b"%05d" % number
        await client.send(wire(b"\x03\xe8", CLOSE))
        assert await client.closed() == 1000


async def test_who_waits_for_a_peer_that_goes_is_told(site: Site):
    lanes = []

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lanes.append(scope["extensions"][LANE])
        await accept(receive, send)
        first = asyncio.create_task(flood(send))  # they wait both
        await asyncio.gather(first, flood(send))

    async def flood(send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "bytes": MESSAGE})

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await until(lambda: lanes and lanes[0].paused)
        client.writer.transport.abort()
        with pytest.raises(ClientDisconnected):
            await asked.came_to()


async def test_a_close_does_not_wait_and_comes_last(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lane = scope["extensions"][LANE]
        await accept(receive, send)
        while not lane.paused:
            lane.write(framing.frame(TEXT, MESSAGE))
        sending = send({"type": "websocket.close", "code": 4000}).__await__()
        with pytest.raises(StopIteration):
            next(sending)

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        await asked.came_to()
        while (frame := await client.frame()) == (TEXT, MESSAGE):
            pass
        assert frame == (CLOSE, (4000).to_bytes(2, "big"))


async def test_a_send_is_one_step_while_the_peer_reads(site: Site):
    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(StopIteration):
            next(send({"type": "websocket.send", "text": "t"}).__await__())

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        assert await client.frame() == (TEXT, b"t")
        await asked.came_to()


async def test_pongs_for_a_peer_that_never_reads_are_bounded(site: Site):
    lanes = []

    async def steps(scope: Scope, receive: Receive, send: Send) -> None:
        lanes.append(scope["extensions"][LANE])
        await echo(scope, receive, send)

    site.application = steps
    async with opened(site.port) as client:
        ping, most = wire(b"p" * 125, PING) * 100, 0
        for _ in range(5_000):
            await client.send(ping)
            most = max(most, lanes[0].waiting())
            if lanes[0].paused:
                break
        await client.send(*[ping] * 50, wire(b"last", PING))
        assert most <= HIGH_WATER + 200
        while (frame := await client.frame())[1] != b"last":
            assert frame == (PONG, b"p" * 125)
        await client.send(wire(b"still there"))
        assert await client.frame() == (TEXT, b"still there")


@pytest.mark.parametrize(
    "flood",
    [
        wire(b"", fin=False)
        + wire(b"", CONTINUATION, fin=False) * 20_000
        + wire(b"", CONTINUATION),
        wire(b"", PONG) * 20_000 + wire(b""),
        wire(b"") * 5_000,
    ],
    ids=["parts", "pongs", "messages"],
)
async def test_thousands_of_tiny_frames_leave_the_others_served(site: Site, flood: bytes):
    async with opened(site.port) as flooder, opened(site.port) as other:
        sending = asyncio.create_task(flooder.send(flood))
        for _ in range(20):
            await other.send(wire(b"served"))
            assert await other.frame() == (TEXT, b"served")
        assert await flooder.frame() == (TEXT, b"")
        await sending


def unframed(said: bytes) -> list[tuple[int, bytes]]:
    """Return the frames of a server, all of them short and whole."""
    frames = []
    while said:
        first, size = said[:2]
        assert first & 0x80
        assert len(said) >= 2 + size
        frames.append((first & 0xF, said[2 : 2 + size]))
        said = said[2 + size :]
    return frames


@pytest.mark.parametrize("seed", range(5))
async def test_garbage_ends_in_a_close_or_waits_and_leaves_no_traceback(
    site: Site, seed: int, caplog: pytest.LogCaptureFixture
):
    chance = random.Random(seed)
    for _ in range(40):
        start = [b"", wire(b"", fin=False), wire(b"\xce\xce", BINARY), bytes([0x81, 0x85])]
        garbage = chance.choice(start) + chance.randbytes(chance.randrange(200))
        async with opened(site.port) as client:
            await client.send(garbage[:20], garbage[20:])
            client.writer.write_eof()
            said = await client.ended()
        frames = unframed(said)
        assert CLOSE not in [opcode for opcode, _ in frames[:-1]]
        if frames and frames[-1][0] == CLOSE:
            assert frames[-1][1][:2] in [code.to_bytes(2, "big") for code in (1002, 1007, 1009)]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_turn_of_the_loop_reads_a_few_frames(site: Site):
    """However many one read brought."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        await accept(receive, send)
        counter = asyncio.create_task(count())
        scope["extensions"][LANE].data_received(wire(b"", PONG) * 6_400 + wire(b"all read"))
        assert (await receive())["text"] == "all read"
        counter.cancel()
        return turns

    asked = Asked(site, steps)
    async with opened(site.port):
        assert await asked.came_to() >= 100


async def test_what_waits_is_read_to_its_end_though_the_peer_is_gone(site: Site):
    """Behind more pings than one turn reads, and the connection with them."""

    async def steps(scope: Scope, receive: Receive, send: Send) -> tuple[Any, Any]:
        lane = scope["extensions"][LANE]
        await accept(receive, send)
        lane.data_received(wire(b"", PING) * 1_000 + wire(b"last"))
        lane.transport.abort()
        return (await receive())["text"], (await receive())["code"]

    asked = Asked(site, steps)
    async with opened(site.port):
        assert await asked.came_to() == ("last", 1006)


async def test_a_peer_that_reads_nothing_is_cut_off_in_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    """Though neither our close nor the end of the connection reaches it."""
    monkeypatch.setattr("broadcasting.server.endpoint.Endpoint.close_timeout", 0.05)

    async def steps(scope: Scope, receive: Receive, send: Send) -> int:
        lane = scope["extensions"][LANE]
        await accept(receive, send)
        while not lane.paused:
            lane.write(b"\x82\x04more" * 1_000)
        await send({"type": "websocket.close"})
        connections = site.server.server_state.connections
        while lane in connections:
            await asyncio.sleep(0.001)  # nothing else tells
        code: int = (await receive())["code"]
        return code

    asked = Asked(site, steps)
    async with opened(site.port) as client:
        assert await asked.came_to() == 1000
        await client.ended()
