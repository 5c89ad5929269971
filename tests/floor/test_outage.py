from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from broadcasting.outage import Outage


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage("broker", probe_seconds=1, clock=clock)


def test_what_never_failed_may_be_tried_at_any_time(outage: Outage) -> None:
    assert all(outage.allows() for _ in range(10))
    assert not outage.down
    assert outage.failures == 0


def test_after_a_failure_nobody_waits_for_it_again(outage: Outage, clock: Clock) -> None:
    outage.failed(TimeoutError())
    assert outage.down
    clock.now += 0.9
    assert not outage.allows()


def test_one_probe_a_second_tries_for_real(outage: Outage, clock: Clock) -> None:
    outage.failed(TimeoutError())
    clock.now += 1
    assert [outage.allows() for _ in range(5)] == [True, False, False, False, False]
    clock.now += 1
    assert outage.allows()


def test_a_probe_that_fails_late_puts_the_next_one_off(outage: Outage, clock: Clock) -> None:
    outage.failed(TimeoutError())
    clock.now += 1
    assert outage.allows()
    clock.now += 0.5
    outage.failed(TimeoutError())
    clock.now += 0.9
    assert not outage.allows()
    clock.now += 0.1
    assert outage.allows()


def test_a_probe_that_goes_through_ends_it(outage: Outage, clock: Clock) -> None:
    outage.failed(TimeoutError())
    clock.now += 1
    assert outage.allows()
    outage.succeeded()
    assert not outage.down
    assert all(outage.allows() for _ in range(10))


def test_a_probe_that_is_never_heard_of_again_does_not_block_the_next(
    outage: Outage, clock: Clock
) -> None:
    outage.failed(TimeoutError())
    for _ in range(3):
        clock.now += 1
        assert outage.allows()


def test_what_failed_and_what_was_refused_is_counted(outage: Outage) -> None:
    outage.failed(TimeoutError())
    outage.allows()
    outage.allows()
    outage.failed(TimeoutError())
    outage.succeeded()
    assert outage.failures == 4


def test_its_beginning_and_its_end_are_logged_once(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="broadcasting.outage"):
        outage.succeeded()
        for _ in range(3):
            outage.failed(ConnectionRefusedError("refused"))
            clock.now += 1
        outage.succeeded()
        outage.succeeded()
    assert [record.getMessage() for record in caplog.records] == [
        "The broker does not answer (ConnectionRefusedError: refused); trying again every 1 s",
        "The broker answers again",
    ]


def test_only_one_of_many_threads_is_the_probe(outage: Outage, clock: Clock) -> None:
    outage.failed(TimeoutError())
    clock.now += 1
    answers: list[bool] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        answers.append(outage.allows())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


@contextlib.contextmanager
def ends_while_we_wait(outage: Outage) -> Iterator[None]:
    """A lock whose last holder noted that the transport answers again."""
    outage._next_probe = None
    yield


def test_a_caller_that_waited_for_the_lock_does_not_bring_a_past_outage_back(
    outage: Outage,
) -> None:
    outage.failed(TimeoutError())
    outage._lock = ends_while_we_wait(outage)  # type: ignore[assignment]
    assert outage.allows()
    assert not outage.down
