"""When a server's own pings are sent, and missed; time is the test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broadcasting.server.keepalive import Keepalive


class Clock:
    """A loop of timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        timer = (self.now + seconds, callback)
        self.timers.append(timer)
        return Timer(self, timer)

    def run_until(self, end: float) -> None:
        while self.timers and min(at for at, _ in self.timers) <= end:
            timer = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


class Timer:
    def __init__(self, clock: Clock, timer: Any) -> None:
        self.clock = clock
        self.timer = timer

    def cancel(self) -> None:
        self.clock.timers.remove(self.timer)


class Socket:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked_at: float | None = None
        self.held = False
        self.asked: list[float] = []
        self.failed: tuple[int, str] | None = None

    def ask(self) -> None:
        self.asked.append(self.clock.now)

    def fail(self, code: int, reason: str) -> None:
        self.failed = (code, reason)


def keeping(timeout: float | None) -> tuple[Clock, Keepalive, Socket]:
    clock: Any = Clock()
    keeper, socket = Keepalive(clock, 20, timeout), Socket(clock)
    keeper.add(socket)
    return clock, keeper, socket


def test_one_timer_looks_after_all_and_ends_with_the_last():
    clock, keeper, first = keeping(20)
    second = Socket(clock)
    keeper.add(second)
    clock.run_until(20)
    assert len(clock.timers) == 1
    assert first.asked == second.asked == [20]
    keeper.remove(first)
    keeper.remove(second)
    keeper.remove(second)
    assert clock.timers == []
    keeper.add(first)
    assert len(clock.timers) == 1


def test_one_that_does_not_answer_in_time_is_ended():
    clock, _, socket = keeping(20)
    failed = []
    for end in (39, 40):
        clock.run_until(end)
        failed.append(socket.failed)
    assert failed == [None, (1011, "keepalive ping timeout")]
    assert clock.timers == []


def test_one_that_answers_is_asked_again():
    clock, _, socket = keeping(10)
    for end in (20, 40, 60):
        clock.run_until(end)
        assert socket.asked[-1] == end
        socket.asked_at = None
    assert socket.failed is None


def test_one_whose_answer_we_do_not_read_is_not_ended():
    clock, _, socket = keeping(10)
    socket.held = True
    clock.run_until(100)
    assert (socket.asked, socket.failed) == ([20], None)


def test_without_a_timeout_no_answer_is_missed():
    clock, _, socket = keeping(None)
    clock.run_until(60)
    assert socket.asked == [20, 40, 60]
    assert socket.failed is None
