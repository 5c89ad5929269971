"""What occurs, as Django signals: in order, off the loop, and not ended by receivers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.dispatch import Signal

from broadcasting import signals
from broadcasting.occurrences import NAMES, Occurrence
from broadcasting.protocol.application import Application

APPLICATION = Application(id="app", key="app-key", secret="app-secret")


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers of other tests, and of the documentation, may still be there."""
    for name in NAMES:
        monkeypatch.setattr(getattr(signals, name), "receivers", [])


@contextmanager
def receiving(signal: Signal, receiver: Any, sender: Any = None) -> Iterator[None]:
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


def tell(name: str, **facts: Any) -> None:
    assert signals.observer.wants(APPLICATION, name)
    signals.observer.tell(Occurrence(name=name, application=APPLICATION, time_ms=5, **facts))
    assert signals.serial.flush(5)


def test_there_is_a_signal_for_everything_that_occurs() -> None:
    told = {name for name, value in vars(signals).items() if type(value) is Signal}
    assert told - {"broadcast_sent", "broadcast_failed", "broadcast_skipped"} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_without_a_receiver_nothing_is_wanted(name: str) -> None:
    assert not signals.observer.wants(APPLICATION, name)


def test_a_receiver_gets_what_applies() -> None:
    got: list[dict[str, Any]] = []

    def receiver(sender: Any, **said: Any) -> None:
        said.pop("signal")
        got.append({"sender": sender, "thread": threading.current_thread().name, **said})

    every = {
        "channel": "presence-a",
        "user_id": "7",
        "socket_id": "1.2",
        "event": "client-x",
        "data": "{}",
        "subscription_count": 3,
    }
    expected = {
        "connected": ["socket_id"],
        "disconnected": ["socket_id"],
        "channel_occupied": ["channel"],
        "channel_vacated": ["channel"],
        "member_added": ["channel", "user_id"],
        "member_removed": ["channel", "user_id"],
        "client_event": ["channel", "user_id", "socket_id", "event", "data"],
        "cache_miss": ["channel"],
        "subscription_count": ["channel", "subscription_count"],
    }
    with ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(receiving(getattr(signals, name), receiver, Application))
        for name in NAMES:
            tell(name, **every)
    common = {"sender": Application, "application": APPLICATION, "time_ms": 5}
    common["thread"] = "broadcasting-signals"
    assert got == [{**common, **{key: every[key] for key in expected[name]}} for name in NAMES]


def test_async_receivers_are_called_too() -> None:
    got: list[str] = []

    async def receiver(channel: str, **said: Any) -> None:
        got.append(channel)

    with receiving(signals.channel_occupied, receiver):
        tell("channel_occupied", channel="a")
        tell("channel_occupied", channel="b")
    assert got == ["a", "b"]


def test_a_receiver_that_fails_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    got: list[str] = []

    def failing(**said: Any) -> None:
        raise RuntimeError("a receiver failed")

    def receiver(channel: str, **said: Any) -> None:
        got.append(channel)

    with (
        receiving(signals.cache_miss, failing),
        receiving(signals.cache_miss, receiver),
    ):
        tell("cache_miss", channel="cache-a")
    assert got == ["cache-a"]
    assert "a receiver failed" in caplog.text
