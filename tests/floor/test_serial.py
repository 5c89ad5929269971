"""The thread that does work in order: bounded, not ended by failures, and it says what it loses."""

from __future__ import annotations

import logging
import threading
from asyncio import CancelledError
from functools import partial

import pytest
from django.db import OperationalError

from broadcasting import serial as module
from broadcasting.serial import Serial
from tests import live

logger = logging.getLogger("broadcasting.tests")


def make(max_waiting: int = 10) -> Serial:
    return Serial("tests", "events", logger, max_waiting)


def test_it_is_bounded_and_drops_the_newest(caplog: pytest.LogCaptureFixture) -> None:
    serial = make(max_waiting=2)
    go, begun = threading.Event(), threading.Event()
    done: list[int] = []

    def first() -> None:
        begun.set()
        go.wait(5)

    serial.submit(first)
    begun.wait(5)
    taken = [serial.submit(partial(done.append, number)) for number in range(5)]
    assert taken == [True, True, False, False, False]
    assert serial.dropped == 3
    assert caplog.text.count("The newest events are dropped: 2 others wait") == 1
    assert not serial.flush(0.01)
    go.set()
    assert serial.flush(5)
    assert done == [0, 1]


@pytest.mark.parametrize("error", [ValueError, SystemExit, CancelledError, KeyboardInterrupt])
def test_what_it_runs_cannot_end_it(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    serial = make()
    done: list[int] = []

    def fail() -> None:
        raise error

    serial.submit(fail)
    serial.submit(partial(done.append, 1))
    assert serial.flush(5)
    assert "One of the events could not be handed on" in caplog.text
    assert done == [1]


def test_a_thread_that_is_dead_is_replaced() -> None:
    serial = make()
    serial._thread = threading.Thread()
    done: list[int] = []
    serial.submit(partial(done.append, 1))
    assert serial.flush(5)
    assert done == [1]


def test_a_connection_that_cannot_be_closed_does_not_end_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(module, "close_old_connections", fail)
    serial = make()
    done: list[int] = []
    for number in range(2):
        serial.submit(partial(done.append, number))
    assert serial.flush(5)
    assert done == [0, 1]
    assert "could not be closed" in caplog.text


def test_nothing_to_flush_is_flushed() -> None:
    assert make().flush(0)


def test_a_process_that_ends_too_early_says_what_it_loses() -> None:
    code = (
        "import django; django.setup()\n"
        "import logging, sys, time; logging.basicConfig(stream=sys.stderr)\n"
        "from broadcasting import serial\n"
        "from broadcasting.dispatching.publisher import publisher\n"
        "serial.finish_all.__defaults__ = (0.05,)\n"
        "for _ in range(3): publisher.submit(lambda: time.sleep(5))\n"
    )
    done = live.run({}, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "3 events were not handed on" in done.stderr
