"""Events of one batch() leave together, and none is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

import broadcasting
from broadcasting import ShouldBroadcast
from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import BackplaneUnavailable, PublishError
from broadcasting.signals import broadcast_failed, broadcast_sent
from broadcasting.testing import FakeBroadcasts
from tests.sending.kept import KeptQueue, work
from tests.sending.test_workers import hearing
from tests.testapp.events import Ticked
from tests.testapp.models import Order
from tests.webhooks.receiver import Receiver, receiving


class Row(ShouldBroadcast):
    order: Order

    class Meta:
        fields = {"order": ["id"]}  # noqa: RUF012

    def broadcast_on(self) -> str:
        return "rows"


class Rescued(Ticked):
    class Meta:
        rescue = True


class Wrong(Ticked):
    def broadcast_when(self) -> bool:
        raise KeyError("nothing of mine")


class Unique(Ticked):
    class Meta:
        unique = True


class Packed(Ticked):
    class Meta:
        render = "worker"


class Down(BaseBroadcaster):
    def broadcast(self, broadcast: Broadcast) -> None:
        raise BackplaneUnavailable("down")

    async def abroadcast(self, broadcast: Broadcast) -> None:
        raise BackplaneUnavailable("down")


class Once(LocmemBroadcaster):
    """Fails once with what a test wants, by the number of the event."""

    failing: ClassVar[dict[str, Exception]] = {}

    def broadcast(self, broadcast: Broadcast) -> None:
        error = self.failing.pop(str(json.loads(broadcast.data)["number"]), None)
        if error is not None:
            raise error
        super().broadcast(broadcast)


def numbers(outbox: list[Broadcast]) -> list[int]:
    return [json.loads(broadcast.data).get("number") for broadcast in outbox]


def kept() -> list[tuple[str, int]]:
    return [
        (job, len(payload["broadcasts"]) if job == "broadcast_many" else 1)
        for job, payload, _ in KeptQueue.jobs
    ]


@pytest.fixture
def queue(configure: Any, outbox: list[Broadcast]) -> Iterator[None]:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        BACKPLANE={"BACKEND": "channel_layer"},
        BROADCASTERS={
            "locmem": {"BACKEND": "locmem"},
            "log": {"BACKEND": "log"},
            "down": {"BACKEND": f"{__name__}.Down"},
        },
    )
    KeptQueue.jobs.clear()
    yield
    KeptQueue.jobs.clear()


def test_nothing_leaves_before_the_end(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        Ticked(1).dispatch()
        Ticked(2).now().dispatch()
        Ticked(3).dispatch()
        assert outbox == []
    assert sorted(numbers(outbox)) == [1, 2, 3]
    Ticked(4).dispatch()
    assert numbers(outbox)[-1] == 4


async def test_nor_in_async_code(outbox: list[Broadcast]) -> None:
    async with broadcasting.batch():
        await Ticked(1).adispatch()
        await Ticked(2).now().adispatch()
        Ticked(3).dispatch()
        assert outbox == []
    assert sorted(numbers(outbox)) == [1, 2, 3]


async def test_a_sync_block_on_a_running_loop_never_blocks_it(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        await Ticked(1).adispatch()
        Ticked(2).dispatch()
        assert outbox == []
    assert await asyncio.to_thread(flush, 5)
    assert numbers(outbox) == [1, 2]


@pytest.mark.usefixtures("queue")
def test_one_job_carries_what_goes_the_same_way(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        Ticked(1).dispatch()
        Ticked(2).via("locmem", "log").dispatch()
        Ticked(3).on_queue("high").dispatch()
        Ticked(4).dispatch()
    assert kept() == [("broadcast_many", 3), ("broadcast", 1), ("broadcast", 1)]
    assert [options.queue for _, _, options in KeptQueue.jobs] == [None, None, "high"]
    assert KeptQueue.jobs[0][2].label == "tests.testapp.events.Ticked"
    with hearing(broadcast_sent) as heard:
        assert work() == []
    assert len(heard) == 5
    assert numbers(outbox) == [1, 2, 4, 3]


@pytest.mark.usefixtures("queue")
async def test_one_job_in_async_code_too() -> None:
    async with broadcasting.batch():
        await Ticked(1).adispatch()
        await Ticked(2).adispatch()
    assert kept() == [("broadcast_many", 2)]


@pytest.mark.usefixtures("queue")
def test_jobs_stay_small() -> None:
    with broadcasting.batch():
        for number in range(201):
            Ticked(number).dispatch()
    assert kept() == [("broadcast_many", 100), ("broadcast_many", 100), ("broadcast", 1)]


@pytest.mark.usefixtures("queue")
def test_what_has_a_job_of_its_own_keeps_it(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        Unique(1).dispatch()
        Unique(1).dispatch()
        Packed(2).dispatch()
        Ticked(3).dispatch()
    assert [job for job, _ in kept()] == ["broadcast", "locked", "render"]
    assert work() == []
    assert sorted(numbers(outbox)) == [1, 2, 3]


def test_a_block_inside_another_leaves_with_it(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        with broadcasting.batch():
            Ticked(1).dispatch()
        assert outbox == []
    assert numbers(outbox) == [1]


def test_an_exception_loses_nothing_that_was_dispatched(outbox: list[Broadcast]) -> None:
    with suppress(KeyError), broadcasting.batch():
        Ticked(1).dispatch()
        raise KeyError
    assert numbers(outbox) == [1]


def test_muted_events_stay_muted(outbox: list[Broadcast]) -> None:
    with broadcasting.batch(), broadcasting.muted():
        Ticked(1).dispatch()
    assert outbox == []


def test_other_threads_are_not_meant(outbox: list[Broadcast]) -> None:
    with broadcasting.batch():
        thread = threading.Thread(target=Ticked(1).dispatch)
        thread.start()
        thread.join()
        assert numbers(outbox) == [1]


async def test_a_task_that_outlives_the_block_sends_by_itself(outbox: list[Broadcast]) -> None:
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        await Ticked(1).adispatch()

    async with broadcasting.batch():
        task = asyncio.create_task(late())
    ended.set()
    await task
    assert numbers(outbox) == [1]


@pytest.mark.usefixtures("queue")
async def test_such_a_task_has_blocks_of_its_own() -> None:
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        async with broadcasting.batch():
            await Ticked(1).adispatch()
            await Ticked(2).adispatch()

    async with broadcasting.batch():
        task = asyncio.create_task(late())
    ended.set()
    await task
    assert kept() == [("broadcast_many", 2)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("queue")
def test_what_commits_inside_leaves_at_the_end() -> None:
    with broadcasting.batch():
        with transaction.atomic():
            Ticked(1).dispatch()
        with transaction.atomic():
            Ticked(2).dispatch()
        assert KeptQueue.jobs == []
    assert kept() == [("broadcast_many", 2)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("queue")
def test_what_commits_later_leaves_together_then(outbox: list[Broadcast]) -> None:
    with transaction.atomic():
        with broadcasting.batch():
            order = Order.objects.create()
            Row(order).dispatch()
            with transaction.atomic():
                Ticked(1).dispatch()
            Ticked(2).dispatch()
        Ticked(3).dispatch()
        assert KeptQueue.jobs == []
    assert sorted(kept()) == [("broadcast", 1), ("broadcast", 1), ("broadcast_many", 2)]
    assert work() == []
    assert len(outbox) == 4


@pytest.mark.django_db(transaction=True)
async def test_what_commits_later_in_async_code_leaves_together(
    outbox: list[Broadcast], configure: Any
) -> None:
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"})
    KeptQueue.jobs.clear()
    atomic = transaction.atomic()
    await sync_to_async(atomic.__enter__)()
    async with broadcasting.batch():
        await Ticked(1).adispatch()
        await Ticked(2).adispatch()
    assert KeptQueue.jobs == []
    await sync_to_async(atomic.__exit__)(None, None, None)
    assert kept() == [("broadcast_many", 2)]
    KeptQueue.jobs.clear()


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_never_sent(outbox: list[Broadcast]) -> None:
    with suppress(KeyError), transaction.atomic():
        with broadcasting.batch():
            Ticked(1).dispatch()
        raise KeyError
    with transaction.atomic():
        with suppress(KeyError), transaction.atomic():
            with broadcasting.batch():
                Ticked(2).dispatch()
            raise KeyError
        with broadcasting.batch():
            Ticked(3).dispatch()
    assert numbers(outbox) == [3]


@pytest.mark.django_db(transaction=True)
def test_other_callbacks_of_the_commit_are_left_alone(outbox: list[Broadcast]) -> None:
    done = []
    with transaction.atomic():
        with broadcasting.batch():
            transaction.on_commit(lambda: done.append(1), robust=True)
            Ticked(1).dispatch()
            transaction.on_commit(lambda: done.append(2))
        assert len(connection.run_on_commit) == 3
    assert done == [1, 2]
    assert numbers(outbox) == [1]


@pytest.mark.django_db(transaction=True)
def test_one_mistake_at_the_commit_does_not_stop_the_others(outbox: list[Broadcast]) -> None:
    def mistaken() -> None:
        with transaction.atomic(), broadcasting.batch():
            Ticked(1).dispatch()
            Wrong(2).dispatch()
            Ticked(3).dispatch()

    with pytest.raises(KeyError, match="nothing of mine"):
        mistaken()
    assert numbers(outbox) == [1, 3]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("queue")
def test_what_cannot_be_handed_on_at_the_commit_hides_no_mistake(configure: Any) -> None:
    configure(QUEUE={"BACKEND": "sync"})

    def mistaken() -> None:
        with transaction.atomic(), broadcasting.batch():
            Wrong(1).dispatch()
            Ticked(2).via("down").dispatch()

    with pytest.raises(KeyError, match="nothing of mine") as raised:
        mistaken()
    assert raised.value.__notes__ == ["Also: BackplaneUnavailable: down"]


@pytest.mark.usefixtures("queue")
def test_what_fails_is_raised_at_the_end_and_told(outbox: list[Broadcast], configure: Any) -> None:
    configure(QUEUE={"BACKEND": "sync"})

    def failing() -> None:
        with broadcasting.batch():
            Ticked(1).via("down").dispatch()
            Ticked(2).dispatch()

    with hearing(broadcast_failed) as heard, pytest.raises(PublishError, match="down"):
        failing()
    assert len(heard) == 1
    assert numbers(outbox) == [2]


@pytest.mark.usefixtures("queue")
async def test_and_in_async_code(outbox: list[Broadcast], configure: Any) -> None:
    configure(QUEUE={"BACKEND": "sync"})

    async def failing() -> None:
        async with broadcasting.batch():
            await Ticked(1).via("down").adispatch()
            await Ticked(2).adispatch()

    with pytest.raises(PublishError, match="down"):
        await failing()
    assert numbers(outbox) == [2]


@pytest.mark.usefixtures("queue")
def test_rescue_holds_for_each(outbox: list[Broadcast], configure: Any, caplog: Any) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    with broadcasting.batch():
        Rescued(1).via("down").dispatch()
        Ticked(2).dispatch()
    assert "Rescued was not broadcast on ticker" in caplog.text
    assert numbers(outbox) == [2]


@pytest.mark.usefixtures("queue")
def test_the_exception_of_the_block_is_not_hidden(configure: Any, caplog: Any) -> None:
    configure(QUEUE={"BACKEND": "sync"})

    def failing() -> None:
        with broadcasting.batch():
            Ticked(1).via("down").dispatch()
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert "Ticked was not broadcast on ticker" in caplog.text


@pytest.mark.usefixtures("queue")
def test_a_job_that_fails_in_a_worker_tells_of_each() -> None:
    with broadcasting.batch():
        Ticked(1).via("down").dispatch()
        Ticked(2).via("down").dispatch()
    with hearing(broadcast_failed) as heard:
        assert len(work()) == 1
    assert len(heard) == 2


@pytest.mark.usefixtures("queue")
def test_only_what_failed_is_sent_again(outbox: list[Broadcast], configure: Any) -> None:
    Once.failing = {"2": BackplaneUnavailable("down"), "3": ValueError("a mistake")}
    configure(BROADCASTERS={"locmem": {"BACKEND": f"{__name__}.Once"}})
    with broadcasting.batch():
        for number in range(1, 5):
            Ticked(number).dispatch()
    with hearing(broadcast_failed) as failed, hearing(broadcast_sent) as sent:
        assert work() == []
    assert numbers(outbox) == [1, 4, 2]
    assert [json.loads(facts["broadcast"].data)["number"] for facts in sent] == [1, 4, 2]
    assert [str(facts["error"]) for facts in failed] == ["a mistake"]


@pytest.mark.usefixtures("queue")
def test_without_a_queue_each_failure_is_told_of_its_own_event(
    outbox: list[Broadcast], configure: Any
) -> None:
    Once.failing = {"2": BackplaneUnavailable("down")}
    configure(QUEUE={"BACKEND": "sync"}, BROADCASTERS={"locmem": {"BACKEND": f"{__name__}.Once"}})

    def failing() -> None:
        with broadcasting.batch():
            for number in range(1, 4):
                Ticked(number).dispatch()

    with hearing(broadcast_failed) as failed, pytest.raises(BackplaneUnavailable):
        failing()
    assert numbers(outbox) == [1, 3]
    assert [json.loads(facts["broadcast"].data)["number"] for facts in failed] == [2]


def test_a_delay_that_cannot_be_kept_is_refused_where_it_stands(outbox: list[Broadcast]) -> None:
    with broadcasting.batch(), pytest.raises(ImproperlyConfigured):
        Ticked(1).delay(5).dispatch()


def test_a_fake_records_them_at_once(broadcasts: FakeBroadcasts) -> None:
    with broadcasting.batch():
        Ticked(1).dispatch()
        broadcasts.assert_broadcast(Ticked, times=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_the_pusher_driver_sends_ten_with_one_request(receiver: Receiver, configure: Any) -> None:
    options = {"app_id": "shop", "key": "k", "secret": "a-secret", "use_tls": False}
    options |= {"host": "localhost", "port": receiver.port}
    configure(
        BROADCASTERS={"default": {"BACKEND": "pusher", "OPTIONS": options}},
        DEFAULT_BROADCASTER="default",
    )
    with broadcasting.batch():
        for number in range(12):
            Ticked(number).dispatch()
    broadcasters["default"].close()
    paths = [urlsplit(request.path).path for request in receiver.requests]
    assert paths == ["/apps/shop/batch_events"] * 2
    assert [len(request.content["batch"]) for request in receiver.requests] == [10, 2]
