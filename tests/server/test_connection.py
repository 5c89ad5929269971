"""One socket: order, slow readers, vanished peers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import Reconnect
from broadcasting.server.counters import Counters
from broadcasting.server.frames import Frame
from tests.server.fakes import FakeSocket, StalledSocket, VanishedSocket, connection

NUMBERS = [str(number) for number in range(10)]


async def test_a_socket_that_reads_needs_no_task():
    socket = FakeSocket()
    before = asyncio.all_tasks()
    connection(socket).send(Frame("hello"))
    assert socket.texts == ["hello"]
    assert asyncio.all_tasks() == before


async def test_frames_of_a_slow_reader_arrive_in_order_once_it_reads():
    socket = StalledSocket()
    slow = connection(socket)
    for number in NUMBERS:
        slow.send(Frame(number))
    slow.close(4200)
    assert socket.messages == []
    socket.reads.set()
    await _idle()
    assert socket.texts == NUMBERS
    assert socket.close_code == 4200


async def test_a_reader_that_caught_up_is_written_to_directly_again():
    socket = StalledSocket()
    slow = connection(socket)
    slow.send(Frame("late"))
    socket.reads.set()
    await _idle()
    slow.send(Frame("direct"))
    assert socket.texts == ["late", "direct"]


async def test_a_full_outbox_ends_the_socket_so_that_the_client_returns():
    counters = Counters()
    socket = StalledSocket()
    slow = connection(socket, settings=ServerSettings(outbox_bytes=30), counters=counters)
    for _ in range(6):
        slow.send(Frame("0123456789"))
    assert slow.closing
    assert counters.slow_closed == 1
    socket.reads.set()
    await _idle()
    # What was on its way already, then the close instead of what waited.
    assert socket.texts == ["0123456789"]
    assert socket.close_code == 4100


async def test_what_the_protocol_owes_is_never_dropped():
    counters = Counters()
    socket = StalledSocket()
    settings = ServerSettings(outbox_bytes=30, slow_policy="drop")
    slow = connection(socket, settings=settings, counters=counters)
    for number in range(3):
        slow.send(Frame(f"012345678{number}"))
    slow.reply_text("0123")
    slow.send(Frame("lost"))
    socket.reads.set()
    await _idle()
    assert socket.texts == ["0123456780", "0123456781", "0123456782", "0123"]
    assert (counters.slow_dropped, counters.slow_closed) == (1, 0)


async def test_a_peer_that_asks_on_and_on_and_reads_nothing_is_sent_away_all_the_same():
    counters = Counters()
    settings = ServerSettings(outbox_bytes=30, slow_policy="drop")
    slow = connection(StalledSocket(), settings=settings, counters=counters)
    for _ in range(9):
        slow.reply_text("pong")
    assert slow.closing
    assert counters.slow_closed == 1


async def test_a_close_of_the_protocol_stands_in_line_too():
    socket = StalledSocket()
    slow = connection(socket)
    for text in ("1", "2", "3"):
        slow.send(Frame(text))
    await slow.aclose(1003, "binary")
    socket.reads.set()
    await _idle()
    assert socket.texts == ["1", "2", "3"]
    assert socket.close_code == 1003


async def test_a_full_outbox_may_drop_frames_instead():
    counters = Counters()
    socket = StalledSocket()
    slow = connection(
        socket,
        settings=ServerSettings(outbox_bytes=30, slow_policy="drop"),
        counters=counters,
    )
    for number in range(5):
        slow.send(Frame(f"012345678{number}"))
    socket.reads.set()
    await _idle()
    assert socket.texts == ["0123456780", "0123456781", "0123456782"]
    assert counters.slow_dropped == 2


async def test_nothing_follows_a_close():
    socket = FakeSocket()
    closed = connection(socket)
    closed.refuse(Reconnect())
    closed.send(Frame("late"))
    closed.close(4100)
    assert [m["type"] for m in socket.messages] == ["websocket.send", "websocket.close"]
    assert socket.close_code == 4200


async def test_a_vanished_peer_raises_nothing():
    gone = connection(VanishedSocket())
    gone.send(Frame("hello"))
    assert gone.closing


async def test_a_socket_that_cannot_be_written_to_ends_instead_of_staying_silent():
    consumer = asyncio.create_task(asyncio.Event().wait())
    connection(VanishedSocket(), task=consumer).send(Frame("hello"))
    with pytest.raises(asyncio.CancelledError):
        await consumer


class Awaitable:
    """What a server written in another language returns: awaitable, but no coroutine."""

    def __init__(self, waits_for: asyncio.Future[None] | None) -> None:
        self.waits_for = waits_for

    def __await__(self) -> Iterator[Any]:
        return iter(self.waits_for or ())


@pytest.mark.parametrize("waits", [False, True])
async def test_a_server_may_give_its_sending_as_any_awaitable(waits):
    texts: list[str] = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(message: dict[str, Any]) -> Awaitable:
        texts.append(message["text"])
        return Awaitable(future if waits and not future.done() else None)

    socket = FakeSocket()
    socket.send = send  # type: ignore[assignment,method-assign]
    open_socket = connection(socket)
    open_socket.reply_text("1")
    open_socket.reply_text("2")
    future.set_result(None)
    await _idle()
    assert texts == ["1", "2"]
    assert not open_socket.closing


def test_a_frame_weighs_its_bytes():
    assert [Frame(text).size for text in ("abc", "äbc", "€")] == [5, 6, 5]


async def _idle() -> None:
    """Let everything that is ready run."""
    for _ in range(50):
        await asyncio.sleep(0)
