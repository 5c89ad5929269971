"""Listeners that wait in a queue: what travels, who is found, what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from broadcasting import ShouldBroadcast, listen
from broadcasting.exceptions import ListenerFailed, PayloadError
from broadcasting.listeners import listeners
from broadcasting.listeners.jobs import EXPIRES
from broadcasting.queues import run
from broadcasting.signals import broadcast_skipped
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Post
from tests.sending.conftest import Configure
from tests.sending.kept import KeptQueue, work
from tests.testapp.events import OrderShipped, Ticked
from tests.testapp.models import Order

pytestmark = pytest.mark.usefixtures("broadcasts")

heard: list[Any] = []


@pytest.fixture(autouse=True)
def kept(configure: Configure) -> Iterator[list[Any]]:
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"})
    heard.clear()
    KeptQueue.jobs.clear()
    with listeners.isolated():
        yield KeptQueue.jobs
    KeptQueue.jobs.clear()


class Moved(ShouldBroadcast):
    order: Order

    class Meta:
        missing = "fail"
        fields = {"order": ["id"]}  # noqa: RUF012

    def broadcast_on(self) -> str:
        return "orders"


class Doubled(Ticked):
    pass


def note(event: Any) -> None:
    heard.append(event)


def fail(event: Any) -> None:
    heard.append("tried")
    raise KeyError(event.number)


class Mail:
    def handle(self, event: Ticked) -> None:
        heard.append("tried")
        raise KeyError(event.number)

    def failed(self, event: Ticked, error: Exception) -> None:
        heard.append((event, repr(error)))


def test_a_worker_calls_it_with_the_event_made_again(kept: list[Any]) -> None:
    """DS7"""
    listen(Ticked, queue="mail", tries=4, backoff=[2, 3], timeout=9, delay=7)(note)
    Ticked(1).dispatch()
    assert heard == []
    ((_, payload, options),) = kept
    assert (options.queue, options.tries, options.backoff) == ("mail", 4, (2, 3))
    assert (options.timeout, options.delay, options.expires) == (9, 7, EXPIRES)
    assert options.label == payload["listener"] == "tests.sending.test_queued_listeners.note"
    assert work() == []
    assert heard == [Ticked(1)]


def test_when_is_asked_before_it_waits(kept: list[Any]) -> None:
    listen(Ticked, queued=True, when=lambda event: event.number > 1)(note)
    Ticked(1).dispatch()
    assert kept == []


def test_what_it_returns_stops_nobody(kept: list[Any]) -> None:
    listen(Ticked, queued=True)(lambda event: False)
    listen(Ticked)(note)
    Ticked(1).dispatch()
    work()
    assert heard == [Ticked(1)]


@pytest.mark.django_db(transaction=True)
def test_it_is_pushed_after_the_commit(kept: list[Any]) -> None:
    listen(OrderShipped, queue="mail")(note)
    with transaction.atomic():
        order = Order.objects.create()
        OrderShipped(order).dispatch()
        assert kept == []
    assert len(kept) == 1
    Order.objects.update(status="shipped")
    work()
    assert heard[0].order.status == "shipped"


@pytest.mark.django_db(transaction=True)
def test_it_is_pushed_at_once_where_that_is_said_and_never_after_a_rollback(
    kept: list[Any],
) -> None:
    listen(Ticked, queue="mail", after_commit=False)(note)
    listen(Ticked, queue="mail", dispatch_uid="waits")(fail)
    with transaction.atomic():
        Ticked(1).dispatch()
        assert len(kept) == 1
        transaction.set_rollback(True)
    assert len(kept) == 1


@pytest.mark.django_db
def test_a_row_that_is_gone_is_no_failure(
    kept: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    skipped = []

    def tell(reason: str, **kwargs: Any) -> None:
        skipped.append(reason)

    listen(OrderShipped, queued=True)(note)
    order = Order.objects.create()
    broadcast_skipped.connect(tell)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            OrderShipped(order).dispatch()
        order.delete()
        assert work() == []
    finally:
        broadcast_skipped.disconnect(tell)
    assert len(skipped) == 1
    assert skipped[0].startswith("missing_model")


@pytest.mark.django_db
def test_a_row_that_is_gone_fails_where_the_event_says_so(
    kept: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    listen(Moved, queued=True)(note)
    order = Order.objects.create()
    with django_capture_on_commit_callbacks(execute=True):
        Moved(order).dispatch()
    order.delete()
    assert [type(error).__name__ for error in work()] == ["MissingModel"]


def test_whatever_it_raises_is_tried_again(kept: list[Any], caplog: Any) -> None:
    listen(Ticked, queued=True, tries=3)(fail)
    Ticked(1).dispatch()
    (error,) = work()
    assert heard == ["tried"] * 3
    assert isinstance(error, ListenerFailed)
    assert isinstance(error.__cause__, KeyError)
    assert "Gave up tests.sending.test_queued_listeners.fail" in caplog.text


def test_without_tries_it_is_tried_once(kept: list[Any]) -> None:
    listen(Ticked, queued=True)(fail)
    Ticked(1).dispatch()
    assert [type(error) for error in work()] == [KeyError]
    assert heard == ["tried"]


def test_a_class_hears_that_it_was_given_up(kept: list[Any]) -> None:
    listen(queued=True, tries=2)(Mail)
    Ticked(1).dispatch()
    work()
    assert heard == ["tried", "tried", (Ticked(1), "KeyError(1)")]


def test_only_what_is_registered_is_called(kept: list[Any], caplog: Any) -> None:
    listen(Ticked, queued=True)(note)
    Ticked(1).dispatch()
    ((job, payload, _),) = kept
    for forged in ("os.system", "tests.sending.test_queued_listeners.fail", ""):
        run(job, payload | {"listener": forged})
    run(job, payload | {"v": 99})
    assert heard == []
    assert caplog.text.count("no such listener") == 3
    assert "version 99" in caplog.text


def test_an_event_to_which_it_does_not_listen_is_not_given_to_it(
    kept: list[Any], caplog: Any
) -> None:
    listen(Ticked, queued=True)(note)
    Ticked(1).dispatch()
    ((job, payload, _),) = kept
    other = f"{Doubled.__module__}:{Doubled.__qualname__}"
    run(job, payload | {"event": payload["event"] | {"class": other}})
    assert heard == []
    assert "no such listener" in caplog.text


def test_what_is_no_event_is_not_made(kept: list[Any]) -> None:
    listen(Ticked, queued=True)(note)
    Ticked(1).dispatch()
    ((job, payload, _),) = kept
    with pytest.raises(PayloadError):
        run(job, payload | {"event": payload["event"] | {"class": "os:system"}})


@pytest.mark.django_db
def test_what_happened_to_a_row_is_heard_in_a_worker(
    kept: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    listen(Post.BroadcastEvent, queued=True)(note)
    with django_capture_on_commit_callbacks(execute=True):
        post = Post.objects.create(title="One")
    work()
    (event,) = heard
    assert (event.action, event.instance) == ("created", post)


def test_two_queued_listeners_of_one_name_need_uids() -> None:
    listen(Ticked, queued=True)(lambda event: None)
    with pytest.raises(ValueError, match="give each a dispatch_uid"):
        listen(Ticked, queued=True)(lambda event: 1)
    listen(Ticked, queued=True, dispatch_uid="two")(lambda event: 1)


def test_without_a_queue_it_is_called_at_once_with_the_event_made_again(
    configure: Configure,
) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    listen(Ticked, queued=True, tries=3)(note)
    event = Ticked(1)
    event.dispatch()
    assert heard == [event]
    assert heard[0] is not event


def test_without_a_queue_its_own_error_is_raised_and_nothing_is_tried_again(
    configure: Configure,
) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    listen(Ticked, queued=True, tries=3)(fail)
    with pytest.raises(KeyError):
        Ticked(1).dispatch()
    assert heard == ["tried"]


def test_a_delay_needs_a_queue_that_can_wait(configure: Configure) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    listen(Ticked, delay=5)(note)
    with pytest.raises(ImproperlyConfigured, match=r"note: a delay needs a queue"):
        Ticked(1).dispatch()


async def test_async_dispatches_push_too(kept: list[Any]) -> None:
    listen(Ticked, queued=True)(note)
    await Ticked(1).adispatch()
    assert len(kept) == 1
    await asyncio.to_thread(work)
    assert heard == [Ticked(1)]


async def test_an_async_listener_is_awaited_by_a_worker_and_without_one(
    kept: list[Any], configure: Configure
) -> None:
    async def anote(event: Ticked) -> None:
        await asyncio.sleep(0)
        heard.append(event.number)

    listen(Ticked, queued=True)(anote)
    await Ticked(1).adispatch()
    await asyncio.to_thread(work)
    configure(QUEUE={"BACKEND": "sync"})
    await Ticked(2).adispatch()
    assert heard == [1, 2]


def test_the_broadcast_does_not_wait_for_them(kept: list[Any], broadcasts: FakeBroadcasts) -> None:
    """EV14: what a listener does later has no say in what is sent."""
    listen(Ticked, queue="mail")(fail)
    Ticked(1).dispatch()
    broadcasts.assert_broadcast(Ticked)
    assert len(work()) == 1
