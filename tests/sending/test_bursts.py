"""Of a burst of events the last one leaves, however many processes send them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import time_machine
from django.core.cache import cache
from django.db import transaction

import broadcasting
from broadcasting import ShouldBroadcast
from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.dispatching.timer import MAX_KEYS, Timer
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.signals import broadcast_failed, broadcast_skipped
from broadcasting.testing import FakeBroadcasts, fake
from tests.sending.kept import KeptQueue, work
from tests.sending.test_workers import hearing
from tests.testapp.models import Order

ROOT = Path(__file__).resolve().parents[2]
NEVER = 3600  # a test that waited for it would not end


class Moved(ShouldBroadcast):
    number: int = 0
    item: str = ""
    _channel: str = "moves"

    class Meta:
        debounce: float = NEVER

    def broadcast_on(self) -> str:
        return self._channel

    def coalesce_key(self) -> str:
        return self.item


class Soon(Moved):
    class Meta:
        debounce = 0.01


class Spread(Moved):
    class Meta:
        debounce = 0
        throttle = NEVER


class SpreadSoon(Moved):
    class Meta:
        debounce = 0
        throttle = 0.01


class Packed(Moved):
    class Meta:
        render = "worker"


class Wrapped(Moved):
    def middleware(self) -> Any:
        return [lambda job, next_: next_(job)]


class Telling(BaseBroadcaster):
    """Lets a test wait for what arrives."""

    arrived: ClassVar[threading.Event] = threading.Event()
    data: ClassVar[list[str]] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        self.data.append(broadcast.data)
        self.arrived.set()

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


class Down(BaseBroadcaster):
    def broadcast(self, broadcast: Broadcast) -> None:
        raise BackplaneUnavailable("down")

    async def abroadcast(self, broadcast: Broadcast) -> None:
        raise BackplaneUnavailable("down")


@pytest.fixture(autouse=True)
def _clean(configure: Any, outbox: list[Broadcast]) -> Iterator[None]:
    configure(
        BROADCASTERS={
            "locmem": {"BACKEND": "locmem"},
            "telling": {"BACKEND": f"{__name__}.Telling"},
            "down": {"BACKEND": f"{__name__}.Down"},
        },
    )
    cache.clear()
    Telling.arrived.clear()
    Telling.data.clear()
    KeptQueue.jobs.clear()
    yield
    assert flush(5)
    KeptQueue.jobs.clear()
    cache.clear()


@pytest.fixture
def queue(configure: Any) -> None:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"}, BACKPLANE={"BACKEND": "channel_layer"}
    )


def numbers(outbox: list[Broadcast]) -> list[int]:
    return [json.loads(broadcast.data)["number"] for broadcast in outbox]


def test_of_fifty_the_last_one_leaves(outbox: list[Broadcast]) -> None:
    with hearing(broadcast_skipped) as skipped:
        for number in range(50):
            Moved(number).dispatch()
    assert outbox == []
    assert flush(5)
    assert numbers(outbox) == [49]
    assert len(skipped) == 49


async def test_and_in_async_code(outbox: list[Broadcast]) -> None:
    for number in range(5):
        await Moved(number).adispatch()
    Moved(5).dispatch()
    assert await asyncio.to_thread(flush, 5)
    assert numbers(outbox) == [5]


def test_it_leaves_by_itself_when_it_is_quiet() -> None:
    Soon(1).via("telling").dispatch()
    assert Telling.arrived.wait(5)
    assert json.loads(Telling.data[-1])["number"] == 1


def test_each_kind_has_its_own_last_one(outbox: list[Broadcast]) -> None:
    for number in range(3):
        Moved(number, "a").dispatch()
        Moved(number, "b").dispatch()
        Moved(number, "a", "elsewhere").dispatch()
        Spread(number).dispatch()
    assert flush(5)
    assert numbers(outbox) == [0, 2, 2, 2, 2]


def test_a_burst_without_end_is_bounded(outbox: list[Broadcast], monkeypatch: Any) -> None:
    now = 1000.0
    monkeypatch.setattr("broadcasting.dispatching.bursts.time.time", lambda: now)

    class Endless(Moved):
        class Meta:
            debounce = NEVER
            max_wait = NEVER + 10

    Endless(1).dispatch()
    now += NEVER
    Endless(2).dispatch()
    assert outbox == []
    now += 10
    Endless(3).dispatch()
    assert numbers(outbox) == [3]
    assert flush(5)
    assert numbers(outbox) == [3]
    Endless(4).dispatch()
    assert numbers(outbox) == [3]


class Deleted(ShouldBroadcast):
    order: Order

    class Meta:
        fields: ClassVar = {"order": ["id"]}
        debounce = NEVER

    def broadcast_on(self) -> str:
        return "orders"

    def coalesce_key(self) -> int:
        return self.order.pk


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("together", [False, True])
def test_rows_that_are_deleted_are_told_apart(outbox: list[Broadcast], together: bool) -> None:
    with broadcasting.batch() if together else nullcontext(), transaction.atomic():
        for order in [Order.objects.create(), Order.objects.create()]:
            Deleted(order).dispatch()
            order.delete()
    assert flush(5)
    assert len(outbox) == 2


@pytest.mark.parametrize("rescue", [False, True])
def test_a_key_that_cannot_be_told_is_a_mistake_like_others(
    outbox: list[Broadcast], caplog: Any, rescue: bool
) -> None:
    class Keyless(Moved):
        def coalesce_key(self) -> str:
            raise KeyError("nothing of mine")

    Keyless._broadcasting = replace(Keyless._broadcasting, rescue=rescue)
    with nullcontext() if rescue else pytest.raises(KeyError):
        Keyless(1).dispatch()
    assert ("telling it apart failed" in caplog.text) == rescue


def test_throttled_ones_leave_first_and_last(outbox: list[Broadcast]) -> None:
    for number in range(10):
        Spread(number).dispatch()
    assert numbers(outbox) == [0]
    assert flush(5)
    assert numbers(outbox) == [0, 9]
    # What has left last closes the gate again.
    Spread(10).dispatch()
    assert numbers(outbox) == [0, 9]


def test_the_last_of_the_throttled_leaves_by_itself() -> None:
    SpreadSoon(1).via("telling").dispatch()
    Telling.arrived.clear()
    SpreadSoon(2).via("telling").dispatch()
    assert Telling.arrived.wait(5)
    assert json.loads(Telling.data[-1])["number"] == 2


def test_immediate_events_are_held_back_too(outbox: list[Broadcast]) -> None:
    Moved(1).now().dispatch()
    Moved(2).now().dispatch()
    assert outbox == []
    assert flush(5)
    assert numbers(outbox) == [2]


async def test_immediate_events_in_async_code_too(outbox: list[Broadcast]) -> None:
    await Moved(1).now().adispatch()
    assert outbox == []
    assert await asyncio.to_thread(flush, 5)
    assert numbers(outbox) == [1]


def test_a_batch_does_not_hasten_them(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        Moved(1).dispatch()
        Moved(2).dispatch()
    assert outbox == []
    assert flush(5)
    assert numbers(outbox) == [2]


def test_what_fails_later_is_logged_and_told(caplog: Any) -> None:
    Moved(1).via("down").dispatch()
    with hearing(broadcast_failed) as failed:
        assert flush(5)
    assert len(failed) == 1
    assert "Moved was not broadcast on moves" in caplog.text


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("kind", [Moved, Packed, Wrapped])
def test_workers_send_the_last_one_only(outbox: list[Broadcast], kind: type[Moved]) -> None:
    for number in range(50):
        kind(number).dispatch()
    jobs = [*KeptQueue.jobs]
    assert [(job, options.delay) for job, _, options in jobs] == [("latest", NEVER)] * 50
    with hearing(broadcast_skipped) as skipped:
        assert work() == []
    assert numbers(outbox) == [49]
    assert len(skipped) == 49
    assert all(told["label"].endswith(kind.__name__) for told in skipped)


class Patient(Moved):
    class Meta:
        debounce = 1
        expires = 3600


@pytest.mark.usefixtures("queue")
def test_a_worker_that_comes_late_sends_the_last_one_only(outbox: list[Broadcast]) -> None:
    with time_machine.travel("2026-01-02 03:00", tick=False):
        for number in range(3):
            Patient(number).dispatch()
    with time_machine.travel("2026-01-02 03:50", tick=False):
        assert work() == []
    assert numbers(outbox) == [2]


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("kind", [Moved, Packed, Wrapped])
def test_workers_tell_channels_apart(outbox: list[Broadcast], kind: type[Moved]) -> None:
    for channel in ("a", "b", "a"):
        kind(1, "", channel).dispatch()
    assert work() == []
    assert [sent.channels for sent in outbox] == [("b",), ("a",)]


@pytest.mark.usefixtures("queue")
def test_a_job_that_is_tried_again_is_still_the_last() -> None:
    Moved(1).via("down").dispatch()
    with hearing(broadcast_failed) as failed:
        (error,) = work()
    assert isinstance(error, BackplaneUnavailable)
    assert len(failed) == 1


@pytest.mark.usefixtures("queue")
def test_throttled_ones_share_the_gate_with_workers(outbox: list[Broadcast]) -> None:
    for number in range(5):
        Spread(number).dispatch()
    assert [job for job, _, _ in KeptQueue.jobs] == ["broadcast"] + ["latest"] * 4
    assert all(0 < options.delay <= NEVER for _, _, options in KeptQueue.jobs[1:])
    assert work() == []
    assert numbers(outbox) == [0, 4]


def test_another_process_can_take_the_turn(outbox: list[Broadcast]) -> None:
    """Two processes share nothing but the cache; here one of them is a timer of its own."""
    Moved(1).dispatch()
    (key,) = _keys_of_turns()
    cache.set(key, "the token of another process")
    assert flush(5)
    assert outbox == []


def _keys_of_turns() -> list[str]:
    from broadcasting.dispatching.timer import timer

    return [*timer._works]


def test_a_cache_that_fails_lets_all_of_them_leave(
    outbox: list[Broadcast], settings: Any, caplog: Any
) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}
    Moved(1).dispatch()
    Moved(2).dispatch()
    assert numbers(outbox) == [1, 2]
    assert "cannot hold back a burst" in caplog.text
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


class BrokenCache:
    def __init__(self, *args: Any) -> None:
        raise ConnectionError("the cache is down")


SCRIPT = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.conf import settings
settings.BROADCASTING["DEFAULT_BROADCASTER"] = "default"
settings.BROADCASTING["BROADCASTERS"]["default"] = {"BACKEND": "__main__.Printing"}
from broadcasting import ShouldBroadcast
from broadcasting.broadcasters import BaseBroadcaster
class Printing(BaseBroadcaster):
    def broadcast(self, broadcast): print(broadcast.data, flush=True)
    async def abroadcast(self, broadcast): self.broadcast(broadcast)
class Moved(ShouldBroadcast):
    number: int = 0
    class Meta:
        debounce = 3600
    def broadcast_on(self): return "moves"
import asyncio
async def on_a_loop():
    for number in range(50):
        Moved(number).dispatch()
{run}
print("ends", flush=True)
"""


@pytest.mark.parametrize(
    "run", ["asyncio.run(on_a_loop())", "for number in range(50): Moved(number).dispatch()"]
)
def test_a_process_that_ends_sends_what_it_held_back(run: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{run}", run)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == '{"number":49}'
    assert done.stderr == ""


def test_a_fake_holds_them_until_it_is_told(broadcasts: FakeBroadcasts) -> None:
    for number in range(3):
        Moved(number).dispatch()
        Spread(number).dispatch()
    assert names_and_numbers(broadcasts) == [("Spread", 0)]
    broadcasts.flush()
    assert names_and_numbers(broadcasts) == [("Spread", 0), ("Moved", 2), ("Spread", 2)]
    broadcasts.flush()
    assert len(broadcasts.sent) == 3


def names_and_numbers(broadcasts: FakeBroadcasts) -> list[tuple[str, int]]:
    return [(record.name, record.payload["number"]) for record in broadcasts.sent]


def test_a_fake_that_ends_tells_of_all() -> None:
    with fake() as broadcasts:
        Moved(1).dispatch()
        Moved(2).dispatch()
    broadcasts.assert_broadcast(Moved, lambda event: event.number == 2, times=1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"debounce": 1, "throttle": 1}, "debounce and throttle cannot be combined"),
        ({"debounce": 1, "unique": True}, "cannot be combined with unique or delay"),
        ({"throttle": 1, "delay": 1}, "cannot be combined with unique or delay"),
        ({"now": True, "delay": 1}, "now does not wait"),
        ({"debounce": -1}, "must be a number of seconds"),
        ({"max_wait": "1"}, "must be a number of seconds, or None"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        type("Wrong", (ShouldBroadcast,), {"Meta": type("Meta", (), options)})


@pytest.mark.usefixtures("queue")
def test_a_delay_of_one_call_is_refused_too() -> None:
    with pytest.raises(ValueError, match="debounce and throttle say when"):
        Moved(1).delay(5).dispatch()


def test_a_timer_is_bounded() -> None:
    timer = Timer()
    timer._works = {str(number): (NEVER, int, int) for number in range(MAX_KEYS)}
    assert not timer.later("one more", NEVER, int, int)
    assert timer.later("1", NEVER, int, int)
    timer.end()
    assert not timer.later("1", NEVER, int, int)
