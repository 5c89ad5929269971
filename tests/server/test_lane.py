"""A socket on the lane: bytes at once, a bounded outbox for whoever reads slowly, and its end."""

from __future__ import annotations

from typing import Any

import pytest

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import Reconnect
from broadcasting.server.connection import Connection, send_all
from broadcasting.server.counters import Counters
from broadcasting.server.frames import Frame
from tests.server.fakes import FakeLane, FakeSocket, connection
from tests.server.test_hub import texts


class OneLane:
    """A socket on a lane, and all that it was given in order."""

    def __init__(self, **settings: Any) -> None:
        self.lane, self.socket, self.counters = FakeLane(), FakeSocket(), Counters()
        self.connection: Connection = connection(
            self.socket,
            settings=ServerSettings(**settings),
            counters=self.counters,
            lane=self.lane,
        )

    def broadcast(self, *sent: str) -> None:
        for text in sent:
            send_all([self.connection], Frame(text))

    def close_code(self) -> int | None:
        return self.socket.close_code

    def is_closing(self) -> bool:
        return self.connection.closing

    @property
    def texts(self) -> list[str]:
        return [text for wire in self.lane.written for text in texts(wire)]


@pytest.fixture
def one() -> OneLane:
    return OneLane(outbox_bytes=20)


def test_broadcasts_and_replies_go_to_the_transport_at_once(one: OneLane):
    one.broadcast("1")
    one.connection.reply_text("2")
    one.broadcast("3")
    assert one.texts == ["1", "2", "3"]
    assert one.socket.messages == []


@pytest.mark.parametrize("taken", [None, 0, 1, 3])
def test_what_the_kernel_does_not_take_is_the_transports(taken: int | None):
    one = OneLane()
    sent = []

    def send_now(wire: bytes) -> int:
        if taken is None:
            raise BlockingIOError
        sent.append(wire[:taken])
        return taken

    one.lane.send_now = send_now
    one.connection.resume()
    one.broadcast("1")
    assert b"".join(sent + one.lane.written) == b"\x81\x011"
    one.lane.pause()
    one.broadcast("2")
    one.lane.resume()
    assert one.lane.written[-1] == b"\x81\x012"


def test_a_slow_reader_gets_everything_in_order_once_it_reads(one: OneLane):
    one.broadcast("1")
    one.lane.pause()
    one.broadcast("2")
    one.connection.reply_text("3")
    one.broadcast("4")
    assert one.texts == ["1"]
    one.lane.resume()
    assert one.texts == ["1", "2", "3", "4"]
    # One write for all that waited.
    assert len(one.lane.written) == 2
    one.broadcast("5")
    assert one.texts[-1] == "5"


def test_a_transport_that_fills_again_gets_no_more_than_it_takes():
    one = OneLane()
    one.lane.pause()
    one.broadcast(*("x" * 40_000 for _ in range(6)))

    def fill(wire: bytes) -> None:
        one.lane.written.append(wire)
        one.lane.pause()

    one.lane.write = fill  # type: ignore[method-assign]
    for writes in (1, 2, 3, 3):
        one.lane.resume()
        assert len(one.lane.written) == writes
    assert sum(map(len, one.lane.written)) == 6 * 40_004


def test_what_the_transport_holds_counts_as_waiting(one: OneLane):
    one.lane.pause()
    one.lane.held = 15
    one.broadcast("123")
    assert not one.is_closing()
    one.broadcast("4")
    assert one.is_closing()
    assert one.counters.slow_closed == 1


def test_a_full_outbox_is_replaced_by_a_close_from_which_the_client_returns(one: OneLane):
    one.lane.pause()
    one.broadcast("0123456789", "0123456789")
    assert one.is_closing()
    assert one.close_code() == 4100
    one.lane.resume()
    one.broadcast("late")
    assert one.texts == []


def test_a_full_outbox_may_lose_broadcasts_but_no_replies():
    one = OneLane(outbox_bytes=20, slow_policy="drop")
    one.lane.pause()
    one.broadcast("0123456789", "too much", "12")
    one.connection.reply_text("3")
    assert one.counters.slow_dropped == 1
    one.lane.resume()
    assert one.texts == ["0123456789", "12", "3"]
    one.lane.pause()
    one.connection.reply_text("x" * 30)
    assert one.close_code() == 4100


def test_a_close_comes_behind_what_waits(one: OneLane):
    one.lane.pause()
    one.broadcast("1")
    one.connection.close(4200)
    one.broadcast("2")
    assert one.close_code() is None
    one.lane.resume()
    assert one.texts == ["1"]
    assert one.close_code() == 4200
    one.broadcast("3")
    assert one.texts == ["1"]


def test_a_refusal_says_why_first():
    one = OneLane()
    one.connection.refuse(Reconnect())
    assert "4200" in one.texts[0]
    assert one.close_code() == 4200


def test_nothing_is_written_once_the_server_has_sent_a_close(one: OneLane):
    one.lane.pause()
    one.broadcast("waits")
    one.connection.lose()
    one.lane.resume()
    one.broadcast("late")
    one.connection.reply_text("late")
    one.connection.close(4200)
    assert one.texts == []
    assert one.socket.messages == []


def test_a_transport_that_is_gone_costs_nobody_else_the_broadcast():
    gone, other = OneLane(), OneLane()

    def fail(wire: bytes) -> None:
        raise RuntimeError("the handler is closed")

    gone.lane.write = fail  # type: ignore[method-assign]
    send_all([gone.connection, other.connection], Frame("x"))
    assert other.texts == ["x"]
    assert gone.connection.closing


def test_a_paused_lane_is_not_written_to_from_the_start():
    lane = FakeLane()
    lane.pause()
    late = connection(FakeSocket(), lane=lane)
    late.send(Frame("x"))
    assert lane.written == []
    lane.resume()
    assert lane.written == [b"\x81\x01x"]


def test_who_is_detached_hears_no_more_of_its_lane(one: OneLane):
    one.connection.detach()
    assert one.lane.watcher is None
    one.lane.resume()
    one.connection.send(Frame("x"))
    assert one.texts == []
