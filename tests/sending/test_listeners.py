"""Listeners: who is called with what, when, and what becomes of the others."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC
from collections.abc import Iterator
from typing import Any, cast

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction

import broadcasting
from broadcasting import Subscriber, listen, notify
from broadcasting.dispatching import flush
from broadcasting.exceptions import AutocommitOff, InvalidChannelName, NoServerHere
from broadcasting.listeners import forget, has_listeners, listeners
from broadcasting.testing import FakeBroadcasts, fake
from tests.blog.models import Post
from tests.sending.conftest import Configure
from tests.sending.test_notifications import OrderReady
from tests.testapp.events import OrderCancelled, OrderShipped, Ticked
from tests.testapp.models import Order

heard: list[Any] = []


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    heard.clear()
    with listeners.isolated():
        yield


class TickedTwice(Ticked):
    pass


class Refused(Ticked):
    def broadcast_on(self) -> str:
        return "not a name"


class Quiet(Ticked):
    def broadcast_when(self) -> bool:
        return False


class Rescued(Ticked):
    class Meta:
        rescue = True


MODULE = """
__name__ = "shop.listeners"

@listen(Ticked)
def note(event):
    heard.append(loading)

@listen(Ticked)
class Note:
    def handle(self, event):
        heard.append(f"class {loading}")
"""


def note(event: Ticked) -> None:
    heard.append(event.number)


# -- who is called ---------------------------------------------------------------------------


def test_a_listener_is_called_with_the_event(broadcasts: FakeBroadcasts) -> None:
    """DS1"""
    listen(Ticked)(heard.append)
    Ticked(1).dispatch()
    assert heard == [Ticked(1)]
    broadcasts.assert_broadcast(Ticked, times=1)


def test_the_annotation_says_what_it_listens_to(broadcasts: FakeBroadcasts) -> None:
    @listen
    def both(event: OrderCancelled | Ticked, other: Unknown = None) -> None:  # type: ignore[name-defined]  # noqa: F821
        heard.append(event)

    assert has_listeners(Ticked)
    assert has_listeners(OrderCancelled)
    assert not has_listeners(OrderShipped)


def test_options_go_with_an_annotation() -> None:
    @listen(queue="mail")
    def mail(event: Ticked) -> None: ...

    (listener,) = listeners.of(Ticked)
    assert (listener.queued, listener.queue, listener.after_commit) == (True, "mail", True)


def test_several_classes_are_heard_by_one_listener(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, TickedTwice)(note)
    Ticked(1).dispatch()
    TickedTwice(2).dispatch()
    assert heard == [1, 2]


def test_a_class_with_handle_is_made_anew_for_each_event(broadcasts: FakeBroadcasts) -> None:
    @listen
    class Note:
        def handle(self, event: Ticked) -> None:
            heard.append(self)

    Ticked(1).dispatch()
    Ticked(2).dispatch()
    assert len(set(map(id, heard))) == 2
    assert all(type(each) is Note for each in heard)


def test_children_are_heard_only_if_that_was_said(broadcasts: FakeBroadcasts) -> None:
    """DS2: those of the class itself come first."""
    listen(Ticked, subclasses=True)(lambda event: heard.append("family"))
    listen(Ticked)(lambda event: heard.append("parent"))
    listen(TickedTwice)(lambda event: heard.append("child"))
    TickedTwice(1).dispatch()
    assert heard == ["child", "family"]


def test_an_abstract_class_can_be_listened_to(broadcasts: FakeBroadcasts) -> None:
    class Audited(ABC):  # noqa: B024
        pass

    Audited.register(Ticked)
    listen(Audited, subclasses=True)(note)
    Ticked(1).dispatch()
    Quiet(2).dispatch()
    assert heard == [1, 2]


def test_listeners_are_called_in_the_order_in_which_they_came(broadcasts: FakeBroadcasts) -> None:
    for number in range(3):
        listen(Ticked)(lambda event, number=number: heard.append(number))
    Ticked(1).dispatch()
    assert heard == [0, 1, 2]


def test_two_lambdas_on_one_line_are_two(broadcasts: FakeBroadcasts) -> None:
    for each in (lambda event: heard.append(1), lambda event: heard.append(2)):
        listen(Ticked)(each)
    Ticked(1).dispatch()
    assert heard == [1, 2]


def test_a_module_that_is_loaded_again_replaces_its_own(broadcasts: FakeBroadcasts) -> None:
    for loading in range(2):
        names = {"listen": listen, "Ticked": Ticked, "heard": heard, "loading": loading}
        exec(compile(MODULE, "shop/listeners.py", "exec"), names)  # noqa: S102
    Ticked(1).dispatch()
    assert heard == [1, "class 1"]


def test_the_same_listener_twice_is_called_once(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(note)
    listen(Ticked)(note)
    Ticked(1).dispatch()
    assert heard == [1]


def test_a_bound_method_twice_is_called_once(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(heard.append)
    listen(Ticked)(heard.append)
    Ticked(1).dispatch()
    assert heard == [Ticked(1)]
    forget(Ticked, heard.append)
    assert not has_listeners(Ticked)


def test_a_static_method_is_a_function_like_any_other(broadcasts: FakeBroadcasts) -> None:
    class Notes:
        @staticmethod
        @listen
        def tick(event: Ticked) -> None:
            heard.append(event.number)

    Ticked(1).dispatch()
    assert heard == [1]


def test_of_one_uid_the_last_is_called(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, dispatch_uid="one")(lambda event: heard.append("old"))
    listen(Ticked, dispatch_uid="one")(lambda event: heard.append("new"))
    Ticked(1).dispatch()
    assert heard == ["new"]


def test_who_is_forgotten_is_not_called(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, TickedTwice)(note)
    listen(Ticked)(heard.append)
    forget(Ticked, note)
    Ticked(1).dispatch()
    assert heard == [Ticked(1)]
    forget(Ticked)
    assert not has_listeners(Ticked)
    assert has_listeners(TickedTwice)


def test_nobody_would_await_when() -> None:
    async def when(event: Ticked) -> bool:
        return False

    with pytest.raises(TypeError, match="when= may not be async"):
        listen(Ticked, when=when)


def test_when_is_asked(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, when=lambda event: event.number > 1)(note)
    Ticked(1).dispatch()
    Ticked(2).dispatch()
    assert heard == [2]


def test_the_methods_of_a_subscriber_listen(broadcasts: FakeBroadcasts) -> None:
    """DS10"""

    class Mails(Subscriber):
        @listen
        @listen(TickedTwice)
        def tick(self, event: Ticked) -> None:
            heard.append((type(self).__name__, event.number))

    Ticked(1).dispatch()
    TickedTwice(2).dispatch()
    assert heard == [("Mails", 1), ("Mails", 2)]
    Mails().tick(Ticked(3))
    assert heard[2] == ("Mails", 3)


def test_methods_of_other_classes_cannot_listen() -> None:
    # Python 3.11 raises a RuntimeError of it.
    with pytest.raises((TypeError, RuntimeError)) as raised:

        class Mails:
            @listen
            def tick(self, event: Ticked) -> None: ...

    assert "subclass of Subscriber" in str(raised.value.__cause__ or raised.value)


def no_annotation(event, *rest: int): ...


def no_event(event: int) -> None: ...


def no_parameter() -> None: ...


def unknown(event: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (lambda: listen(no_annotation), "no annotation; name the event"),
        (lambda: listen(no_event), "int'> is not an event class"),
        (lambda: listen(no_parameter), "no parameter for an event"),
        (lambda: listen(unknown), "Nothing"),
        (lambda: listen(int), "add subclasses=True"),
        (lambda: listen(broadcasting.ShouldBroadcast), "add subclasses=True"),
        (lambda: listen(Ticked, tries=3), "tries is for queued listeners"),
        (lambda: listen(Ticked, delay=3, queued=False), "delay is for queued listeners"),
        (lambda: listen(Ticked, queued=True, tries=0), r"listen\(\).tries: must be a whole number"),
        (lambda: listen(Ticked, queue="mail", delay=-1), r"listen\(\).delay: must be a number"),
        (lambda: listen(Ticked)(cast("Any", 7)), "A listener is a function"),
    ],
)
def test_what_cannot_listen_is_told_at_once(said: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        said()


# -- when ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_listener_is_called_before_the_commit_unless_it_waits_for_it(
    broadcasts: FakeBroadcasts,
) -> None:
    """DS9"""
    listen(Ticked)(lambda event: heard.append("at once"))
    listen(Ticked, after_commit=True)(lambda event: heard.append("after"))
    with transaction.atomic():
        Ticked(1).dispatch()
        heard.append("dispatched")
    assert heard == ["at once", "dispatched", "after"]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_silences_those_that_wait(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(lambda event: heard.append("at once"))
    listen(Ticked, after_commit=True)(lambda event: heard.append("after"))
    with transaction.atomic():
        Ticked(1).dispatch()
        transaction.set_rollback(True)
    assert heard == ["at once"]


@pytest.mark.django_db(transaction=True)
def test_where_nobody_can_say_when_it_commits_the_others_are_called(
    broadcasts: FakeBroadcasts,
) -> None:
    class AtOnce(Ticked):
        class Meta:
            after_commit = False

    listen(AtOnce, after_commit=True)(note)
    listen(AtOnce)(heard.append)
    connection.set_autocommit(False)
    try:
        with pytest.raises(AutocommitOff):
            AtOnce(1).dispatch()
    finally:
        connection.rollback()
        connection.set_autocommit(True)
    assert heard == [AtOnce(1)]


def test_without_a_transaction_nobody_waits(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, after_commit=True)(note)
    Ticked(1).dispatch()
    assert heard == [1]


@pytest.mark.django_db(transaction=True)
def test_a_row_deleted_before_the_commit_has_its_key(broadcasts: FakeBroadcasts) -> None:
    order = Order.objects.create()
    number = order.pk
    listen(OrderShipped, after_commit=True)(lambda event: heard.append(event.order.pk))
    with transaction.atomic():
        OrderShipped(order).dispatch()
        order.delete()
    assert heard == [number]


def test_the_broadcast_comes_first(broadcasts: FakeBroadcasts) -> None:
    """App 7: listeners run after the broadcast was handed on."""
    listen(Ticked)(lambda event: heard.append(len(broadcasts.sent)))
    Ticked(1).dispatch()
    assert heard == [1]


def test_listeners_run_once_for_each_dispatch(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(note)
    with broadcasting.batch():
        Ticked(1).via("locmem", "null").dispatch()
        assert heard == [1]
    assert heard == [1]


def test_muted_and_unwanted_events_are_heard_all_the_same(broadcasts: FakeBroadcasts) -> None:
    """EV14: listeners and broadcast do not depend on each other."""
    listen(Ticked, subclasses=True)(note)
    with broadcasting.muted():
        Ticked(1).dispatch()
    Quiet(2).dispatch()
    assert heard == [1, 2]
    broadcasts.assert_nothing_broadcast()


def test_a_listener_of_an_event_that_cannot_be_sent_is_not_called() -> None:
    """App 7: an exception of the broadcast stops listeners."""
    listen(Refused)(note)
    with pytest.raises(InvalidChannelName):
        Refused(1).dispatch()
    assert heard == []


def test_a_broadcast_that_is_rescued_stops_no_listener(caplog: Any) -> None:
    """App 7: rescue does not stop listeners."""

    class Lost(Refused):
        class Meta:
            rescue = True

    listen(Lost)(note)
    Lost(1).dispatch()
    assert heard == [1]
    assert "was not broadcast" in caplog.text


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_cannot_be_handed_on_now_is_not_heard_but_under_rescue(
    configure: Configure, colour: str
) -> None:
    """App 7: a failure of ``now`` stops listeners, rescue does not."""

    def send(number: int) -> None:
        dispatch = Ticked(number).now()
        async_to_sync(dispatch.adispatch)() if colour == "async" else dispatch.dispatch()

    listen(Ticked)(note)
    # Here is no server for its "local" backplane.
    configure(DEFAULT_BROADCASTER="default", BACKPLANE={"BACKEND": "local"})
    with pytest.raises(NoServerHere):
        send(1)
    assert heard == []
    configure(DEFAULT_BROADCASTER="default", BACKPLANE={"BACKEND": "local"}, RESCUE=True)
    send(2)
    assert heard == [2]


def test_a_listener_cannot_change_what_is_sent(broadcasts: FakeBroadcasts) -> None:
    @listen
    def change(event: Ticked) -> None:
        event.number = 9

    listen(Ticked)(lambda event: heard.append(event.number))
    mine = Ticked(1)
    mine.dispatch()
    assert (heard, mine.number) == ([9], 1)
    broadcasts.assert_payload(Ticked, {"number": 1})


# -- what becomes of the others --------------------------------------------------------------


def fail(event: Ticked) -> None:
    raise KeyError("first")


def fail_too(event: Ticked) -> None:
    raise ValueError("second")


def test_false_keeps_those_after_it_from_being_called(broadcasts: FakeBroadcasts) -> None:
    """DS3: exactly False; and the broadcast has left."""

    def zero(event: Ticked) -> int:
        heard.append("first")
        return 0

    listen(Ticked)(zero)
    listen(Ticked)(lambda event: False)
    listen(Ticked)(lambda event: heard.append("third"))
    Ticked(1).dispatch()
    assert heard == ["first"]
    broadcasts.assert_broadcast(Ticked)


@pytest.mark.django_db
def test_false_stops_those_too_that_would_have_waited(
    broadcasts: FakeBroadcasts, django_capture_on_commit_callbacks: Any
) -> None:
    listen(Ticked, after_commit=True)(lambda event: heard.append("before"))
    listen(Ticked)(lambda event: False)
    listen(Ticked, after_commit=True)(lambda event: heard.append("behind"))
    with django_capture_on_commit_callbacks(execute=True):
        Ticked(1).dispatch()
    assert heard == ["before"]


def test_a_listener_that_fails_hides_no_other(broadcasts: FakeBroadcasts) -> None:
    for each in (fail, fail_too, note):
        listen(Ticked)(each)
    with pytest.raises(KeyError) as raised:
        Ticked(1).dispatch()
    assert heard == [1]
    (noted,) = raised.value.__notes__
    assert "fail_too failed too: ValueError: second" in noted


def test_under_rescue_failures_are_logged(broadcasts: FakeBroadcasts, caplog: Any) -> None:
    for each in (fail, fail_too, note):
        listen(Rescued)(each)
    Rescued(1).dispatch()
    assert heard == [1]
    assert caplog.text.count("has failed") == 2


@pytest.mark.django_db(transaction=True)
def test_one_that_fails_after_the_commit_hides_nobody_who_waits_for_it(
    broadcasts: FakeBroadcasts, caplog: Any
) -> None:
    listen(Ticked, after_commit=True)(fail)
    listen(Ticked, after_commit=True)(note)
    with transaction.atomic():
        Ticked(1).dispatch()
        Ticked(2).dispatch()
    assert heard == [1, 2]
    broadcasts.assert_broadcast(Ticked, times=2)
    assert caplog.text.count("has failed") == 2


# -- colours ---------------------------------------------------------------------------------


async def anote(event: Ticked) -> None:
    await asyncio.sleep(0)
    heard.append((event.number, threading.current_thread()))


def test_a_sync_dispatch_waits_for_an_async_listener(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(anote)
    Ticked(1).dispatch()
    assert [number for number, _ in heard] == [1]


async def test_an_async_dispatch_awaits_its_listeners(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(anote)
    listen(Ticked)(lambda event: heard.append((event.number, threading.current_thread())))
    await Ticked(1).adispatch()
    (first, here), (second, there) = heard
    assert (first, second) == (1, 1)
    assert here is threading.current_thread() is not there


async def test_async_dispatches_raise_and_stop_as_the_others_do(
    broadcasts: FakeBroadcasts,
) -> None:
    async def stop(event: Ticked) -> bool:
        return False

    for each in (fail, fail_too, stop, note):
        listen(Ticked)(each)
    with pytest.raises(KeyError) as raised:
        await Ticked(1).adispatch()
    assert len(raised.value.__notes__) == 1
    assert heard == []


async def test_muted_events_are_heard_by_async_dispatches(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked)(note)
    with broadcasting.muted():
        await Ticked(1).adispatch()
    assert heard == [1]


@pytest.mark.django_db(transaction=True)
async def test_those_that_wait_wait_in_async_code_too(broadcasts: FakeBroadcasts) -> None:
    listen(Ticked, after_commit=True)(anote)

    def shop() -> None:
        with transaction.atomic():
            async_to_sync(Ticked(1).adispatch)()
            assert heard == []

    await sync_to_async(shop)()
    assert len(heard) == 1


async def test_a_sync_dispatch_on_a_loop_lets_another_thread_call(
    broadcasts: FakeBroadcasts, caplog: Any
) -> None:
    listen(Ticked)(fail)
    listen(Ticked)(anote)
    Ticked(1).dispatch()
    assert await asyncio.to_thread(flush, 5)
    ((number, thread),) = heard
    assert number == 1
    assert thread is not threading.current_thread()
    assert "has failed" in caplog.text


def test_in_a_coroutine_of_a_sync_view_the_thread_that_waits_calls(
    broadcasts: FakeBroadcasts, caplog: Any
) -> None:
    listen(Ticked)(fail)
    listen(Ticked)(anote)
    listen(Ticked)(lambda event: heard.append((2, threading.current_thread())))

    async def view() -> None:
        Ticked(1).dispatch()

    async_to_sync(view)()
    assert flush(5)
    assert [number for number, _ in heard] == [1, 2]
    assert heard[1][1] is threading.current_thread()
    assert "has failed" in caplog.text


# -- other events ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_notification_is_heard_not_what_carries_it(django_user_model: Any) -> None:
    listen(OrderReady)(heard.append)
    order, user = Order.objects.create(), django_user_model.objects.create(username="ada")
    ready = OrderReady(order)
    with fake():
        notify(user, ready)
    assert heard == [ready]


@pytest.mark.django_db
def test_what_happens_to_a_row_is_heard_muted_or_not(broadcasts: FakeBroadcasts) -> None:
    listen(Post.BroadcastEvent)(lambda event: heard.append((event.action, event.instance.title)))
    with broadcasting.muted():
        post = Post.objects.create(title="One")
        post.delete()
    assert heard == [("created", "One"), ("deleted", "One")]
    broadcasts.assert_nothing_broadcast()
