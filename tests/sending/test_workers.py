"""What happens after the queue: rendering there, failures, and who hears of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.dispatch import Signal

from broadcasting import Channel, PrivateChannel, ShouldBroadcast
from broadcasting import on as broadcast_on
from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BackplaneUnavailable, MissingModel, PayloadError, PublishError
from broadcasting.signals import broadcast_failed, broadcast_sent, broadcast_skipped
from tests.sending.kept import KeptQueue, work
from tests.testapp.models import Order


class Heard:
    """Calls of ``broadcast_failed()``, across what is made again."""

    calls: ClassVar[list[tuple[Any, Exception]]] = []


class Rendered(ShouldBroadcast):
    order: Order
    note: str = ""

    class Meta:
        fields = {"order": ["id", "status"]}  # noqa: RUF012
        render = "worker"

    def broadcast_on(self) -> Channel:
        return PrivateChannel(f"orders.{self.order.pk}")

    def broadcast_failed(self, error: Exception) -> None:
        Heard.calls.append((self, error))


class Insisting(Rendered):
    class Meta:
        missing = "fail"


class Hearing(ShouldBroadcast):
    number: int = 0

    def broadcast_on(self) -> str:
        return "news"

    def broadcast_failed(self, error: Exception) -> None:
        Heard.calls.append((self, error))
        raise RuntimeError("nobody is hurt by this")


class Broken(BaseBroadcaster):
    """Refuses as often as a test likes."""

    refusals: ClassVar[int] = 0
    attempts: ClassVar[list[Broadcast]] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        self.attempts.append(broadcast)
        if len(self.attempts) <= type(self).refusals:
            raise BackplaneUnavailable("away")

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    KeptQueue.jobs.clear()
    Heard.calls.clear()
    Broken.attempts.clear()
    Broken.refusals = 0


@pytest.fixture
def queue(configure: Any, outbox: list[Broadcast]) -> None:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        DEFAULT_BROADCASTER="locmem",
        BROADCASTERS={
            "locmem": {"BACKEND": "locmem"},
            "broken": {"BACKEND": "tests.sending.test_workers.Broken"},
        },
    )


@contextmanager
def hearing(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []

    def receive(**facts: Any) -> None:
        told.append(facts)

    signal.connect(receive)
    try:
        yield told
    finally:
        signal.disconnect(receive)


@pytest.mark.usefixtures("queue")
@pytest.mark.django_db(transaction=True)
class TestRenderingThere:
    def test_rows_are_fetched_by_the_worker(self, outbox: list[Broadcast]) -> None:
        """App 6: the state of when it is rendered."""
        order = Order.objects.create(status="new")
        Rendered(order, "n").to_others("1.2").dispatch()
        assert "new" not in json.dumps(KeptQueue.jobs[0][1])
        Order.objects.update(status="shipped")
        assert work() == []
        (sent,) = outbox
        assert json.loads(sent.data) == {
            "order": {"id": order.pk, "status": "shipped"},
            "note": "n",
        }
        assert sent.channels == (f"private-orders.{order.pk}",)
        assert sent.except_socket == "1.2"

    def test_the_number_of_the_dispatch_goes_all_the_way(self, outbox: list[Broadcast]) -> None:
        Rendered(Order.objects.create()).via("locmem", "broken").dispatch()
        number = KeptQueue.jobs[0][1]["id"]
        work()
        assert {outbox[0].id, Broken.attempts[0].id} == {number}

    def test_a_row_that_is_gone_is_no_failure(self, outbox: list[Broadcast]) -> None:
        """App 6: a missing row is skipped, and told."""
        order = Order.objects.create()
        Rendered(order).dispatch()
        Order.objects.all().delete()
        with hearing(broadcast_skipped) as told:
            assert work() == []
        assert (outbox, Heard.calls) == ([], [])
        assert told[0]["reason"].startswith("missing_model: testapp.Order")
        assert told[0]["label"].endswith("Rendered")

    def test_unless_it_is_meant_to_be_one(self, outbox: list[Broadcast]) -> None:
        Insisting(Order.objects.create()).dispatch()
        Order.objects.all().delete()
        with hearing(broadcast_failed) as told:
            (error,) = work()
        assert isinstance(error, MissingModel)
        assert told[0]["error"] is error

    def test_one_that_fails_is_not_sent_again_through_the_others(
        self, outbox: list[Broadcast]
    ) -> None:
        Broken.refusals = 2
        Rendered(Order.objects.create()).via("locmem", "broken").dispatch()
        assert work() == []
        assert (len(outbox), len(Broken.attempts)) == (1, 3)

    def test_what_a_worker_could_not_fetch_is_rendered_at_once(
        self, outbox: list[Broadcast]
    ) -> None:
        """App 9: a deleted row still has its key in what is sent."""
        order = Order.objects.create(status="new")
        pk = order.pk
        with transaction.atomic():
            Rendered(order).dispatch()
            order.delete()
        assert work() == []
        (sent,) = outbox
        assert sent.channels == (f"private-orders.{pk}",)
        assert json.loads(sent.data)["order"] == {"id": pk, "status": "new"}

    def test_what_cannot_travel_is_told_at_once(self) -> None:
        with pytest.raises(PayloadError, match=r"event\.note"):
            Rendered(Order.objects.create(), object()).dispatch()  # type: ignore[arg-type]
        assert KeptQueue.jobs == []

    def test_without_a_queue_there_is_nothing_to_wait_for(
        self, configure: Any, outbox: list[Broadcast]
    ) -> None:
        configure(QUEUE={"BACKEND": "sync"}, DEFAULT_BROADCASTER="locmem")
        Rendered(Order.objects.create()).dispatch()
        assert len(outbox) == 1


@pytest.mark.usefixtures("queue")
class TestFailures:
    def test_an_event_hears_in_a_worker_that_it_was_given_up(self) -> None:
        """App 11: the hook, once, after the last attempt."""
        Broken.refusals = 9
        Hearing(7).via("broken").dispatch()
        with hearing(broadcast_failed) as told:
            (error,) = work()
        assert len(Broken.attempts) == 3
        assert Heard.calls == [(Hearing(7), error)]
        (facts,) = told
        assert facts["broadcast"].channels == ("news",)
        assert facts["error"] is error

    def test_one_that_went_through_in_the_end_is_no_failure(self) -> None:
        Broken.refusals = 2
        Hearing(7).via("broken").dispatch()
        with hearing(broadcast_failed) as told, hearing(broadcast_sent) as sent:
            assert work() == []
        assert (told, Heard.calls) == ([], [])
        assert [facts["broadcast"].broadcaster for facts in sent] == ["broken"]

    @pytest.mark.parametrize("rescue", [True, False])
    def test_the_caller_is_the_one_where_there_is_no_queue(
        self, configure: Any, settings: Any, rescue: bool
    ) -> None:
        configure(QUEUE={"BACKEND": "sync"}, RESCUE=rescue)
        Broken.refusals = 9
        with hearing(broadcast_failed) as told:
            if rescue:
                Hearing(7).via("broken").dispatch()
            else:
                with pytest.raises(BackplaneUnavailable):
                    Hearing(7).via("broken").dispatch()
        assert [event for event, _ in Heard.calls] == [Hearing(7)]
        assert len(told) == 1

    async def test_so_it_is_in_async_code(self) -> None:
        Broken.refusals = 9
        with hearing(broadcast_failed) as told, pytest.raises(BackplaneUnavailable):
            await Hearing(7).via("broken").now().adispatch()
        assert len(told) == len(Heard.calls) == 1

    async def test_and_what_was_sent_there_is_told_too(self) -> None:
        with hearing(broadcast_sent) as told:
            await Hearing(7).via("broken").now().adispatch()
        assert [facts["broadcast"].name for facts in told] == ["Hearing"]

    def test_events_without_the_hook_travel_without_themselves(self) -> None:
        broadcast_on("news").send()
        Hearing(7).dispatch()
        without, with_hook = (payload for _, payload, _ in KeptQueue.jobs)
        assert "event" not in without
        assert with_hook["event"]["attributes"] == {"number": 7}

    def test_a_receiver_that_fails_stops_nothing(self, outbox: list[Broadcast], caplog) -> None:
        def fail(**facts: Any) -> None:
            raise RuntimeError("receiver")

        broadcast_sent.connect(fail)
        try:
            Hearing(1).dispatch()
            assert work() == []
        finally:
            broadcast_sent.disconnect(fail)
        assert len(outbox) == 1


class Later(ShouldBroadcast):
    class Meta:
        delay = 30
        timeout = 4
        expires = 5

    def broadcast_on(self) -> str:
        return "news"


class TestDelays:
    @pytest.mark.usefixtures("queue")
    def test_options_reach_the_queue(self) -> None:
        Later().dispatch()
        Later().delay(1).expires(2).dispatch()
        broadcast_on("news").delay(3).send()
        options = [options for _, _, options in KeptQueue.jobs]
        assert [(o.delay, o.expires, o.timeout) for o in options] == [
            (30, 5, 4),
            (1, 2, 4),
            (3, None, None),
        ]

    @pytest.mark.parametrize("wrong", [timedelta(seconds=5), "5", -1, float("nan"), True, None])
    @pytest.mark.parametrize("modifier", ["delay", "expires"])
    def test_only_seconds_are_taken(self, modifier: str, wrong: Any) -> None:
        with pytest.raises(TypeError, match=rf"{modifier}\(\) takes .*seconds"):
            getattr(Later(), modifier)(wrong)

    def test_what_expires_at_once_is_never_sent(self) -> None:
        with pytest.raises(TypeError, match=r"expires\(\) takes seconds above 0"):
            Later().expires(0)

    def test_a_queue_that_cannot_wait_says_so(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"'sync'\. Use 'celery'"):
            Later().dispatch()

    def test_now_is_now(self, outbox: list[Broadcast]) -> None:
        Later().now().dispatch()
        assert len(outbox) == 1
        with pytest.raises(ValueError, match="delay"):
            Later().now().delay(3).dispatch()

    @pytest.mark.django_db(transaction=True)
    def test_what_cannot_wait_says_so_before_the_commit(self) -> None:
        with transaction.atomic():
            with pytest.raises(ImproperlyConfigured, match="delay"):
                Later().dispatch()
            with pytest.raises(ValueError, match="delay"):
                Later().now().delay(3).dispatch()

    def test_a_dead_queue_is_a_failure_too(self, queue: None, monkeypatch) -> None:
        def refuse(*args: Any) -> None:
            raise PublishError("full")

        monkeypatch.setattr(KeptQueue, "push", refuse)
        with hearing(broadcast_failed) as told, pytest.raises(PublishError):
            Hearing(1).dispatch()
        assert len(told) == len(Heard.calls) == 1
