from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.test import Client, TestCase, TransactionTestCase

from broadcasting import PrivateChannel, ShouldBroadcast, UserChannel, broadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import PayloadError
from broadcasting.testing import BroadcastingTestMixin, FakeBroadcasts, fake
from tests.testapp.events import OrderCancelled, OrderShipped, Ticked
from tests.testapp.models import Order

Outbox = list[Broadcast]

SHIPPED = {"order": {"id": 1, "status": "shipped"}, "tracking_code": ""}


class Undone(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """A transaction, or savepoint, that is rolled back at its end."""
    with suppress(Undone), transaction.atomic():
        yield
        raise Undone


def shipped(pk: int = 1) -> OrderShipped:
    return OrderShipped(Order(pk=pk, status="shipped"))


class Greeted(ShouldBroadcast):
    user_id: str

    def broadcast_on(self) -> UserChannel:
        return UserChannel(self.user_id)


class TestRecords:
    def test_a_users_own_channel_is_recorded_as_such(self, broadcasts: FakeBroadcasts) -> None:
        Greeted("ada@example.com").dispatch()
        (record,) = broadcasts.assert_broadcast(Greeted, on=UserChannel("ada@example.com"), times=1)
        (channel,) = record.channels
        assert isinstance(channel, UserChannel)
        assert str(channel) == "#server-to-user-ada@example.com"
        broadcasts.assert_not_broadcast(Greeted, on="#server-to-user-bob")

    def test_a_record_has_everything_that_would_have_left(self, broadcasts: FakeBroadcasts) -> None:
        event = OrderCancelled(Order(pk=1))
        event.to_others("1.2").via("log").dispatch()
        (record,) = broadcasts.sent
        assert record.name == "order.cancelled"
        assert [str(channel) for channel in record.channels] == ["private-testapp.Order.1"]
        assert record.channels == (PrivateChannel("testapp.Order.1"),)
        assert record.data == '{"order":{"id":1}}'
        assert record.payload == {"order": {"id": 1}}
        assert record.event == event
        assert record.event is not event
        assert (record.except_socket, record.broadcaster, record.queue) == (
            "1.2",
            "log",
            "realtime",
        )
        assert record.id

    def test_there_is_one_for_each_broadcaster(self, broadcasts: FakeBroadcasts) -> None:
        Ticked().via("log", "null").dispatch()
        assert [record.broadcaster for record in broadcasts.sent] == ["log", "null"]
        broadcasts.assert_broadcast(Ticked, times=1)

    def test_the_default_queue_has_its_name_and_now_has_none(
        self, broadcasts: FakeBroadcasts
    ) -> None:
        Ticked().dispatch()
        Ticked().now().dispatch()
        assert [record.queue for record in broadcasts.sent] == ["broadcasts", None]

    def test_nothing_leaves_for_real(self, outbox: Outbox) -> None:
        with fake() as broadcasts:
            Ticked().dispatch()
        assert (outbox, len(broadcasts.sent)) == ([], 1)
        Ticked().dispatch()
        assert (len(outbox), len(broadcasts.sent)) == (1, 1)

    def test_only_some_events_can_be_faked(self, outbox: Outbox) -> None:
        """App 21: only."""
        with fake(only=[OrderShipped]) as broadcasts:
            Ticked().dispatch()
            shipped().dispatch()
        assert [sent.name for sent in outbox] == ["Ticked"]
        assert [record.name for record in broadcasts.sent] == ["OrderShipped"]

    def test_fakes_nest(self, outbox: Outbox) -> None:
        """App 21: nested fakes."""
        with fake() as outer:
            with fake(only=OrderShipped) as inner:
                Ticked().dispatch()
                shipped().dispatch()
            shipped(2).dispatch()
        assert [record.name for record in outer.sent] == ["Ticked", "OrderShipped"]
        assert [record.name for record in inner.sent] == ["OrderShipped"]
        assert outbox == []

    def test_threads_are_recorded_too(self, broadcasts: FakeBroadcasts) -> None:
        """App 21."""
        thread = threading.Thread(target=Ticked(7).dispatch)
        thread.start()
        thread.join()
        broadcasts.assert_payload(Ticked, {"number": 7})

    async def test_a_running_loop_records_at_once(self, broadcasts: FakeBroadcasts) -> None:
        Ticked(1).dispatch()
        assert len(broadcasts.sent) == 1
        await Ticked(2).adispatch()
        assert [record.payload["number"] for record in broadcasts.sent] == [1, 2]

    def test_the_encoder_and_the_limits_are_real(self, broadcasts: FakeBroadcasts) -> None:
        with pytest.raises(PayloadError):
            broadcast(Ticked(object()))  # type: ignore[arg-type]
        with pytest.raises(PayloadError, match="max_event_payload_kb"):
            broadcast(Ticked("x" * 11_000))  # type: ignore[arg-type]
        broadcasts.assert_nothing_broadcast()

    def test_each_with_begins_empty(self) -> None:
        broadcasts = fake()
        with broadcasts:
            Ticked().dispatch()
        with broadcasts:
            broadcasts.assert_nothing_broadcast()

    async def test_it_decorates_functions_of_both_colours(self, outbox: Outbox) -> None:
        """App 21."""
        broadcasts = fake()

        @broadcasts
        def tick(number: int) -> int:
            Ticked(number).dispatch()
            return number

        @broadcasts
        async def atick(number: int) -> int:
            await Ticked(number).adispatch()
            return number

        assert tick(1) == 1
        broadcasts.assert_payload(Ticked, {"number": 1})
        assert await atick(2) == 2
        broadcasts.assert_payload(Ticked, {"number": 2})
        broadcasts.assert_broadcast(Ticked, times=1)
        assert flush(5)
        assert outbox == []


class TestInTestCase(BroadcastingTestMixin, TestCase):
    """App 21: the outer transaction of these tests never commits."""

    databases = {"default", "other"}  # noqa: RUF012

    def numbers(self) -> list[int]:
        return [record.payload["number"] for record in self.broadcasts.sent]

    def waiting(self) -> list[int]:
        return [pending.event.number for pending in self.broadcasts.pending]  # type: ignore[attr-defined]

    def test_outside_a_block_of_ones_own_it_is_sent_at_once(self) -> None:
        Ticked(1).dispatch()
        assert (self.numbers(), self.waiting()) == ([1], [])

    def test_it_is_pending_until_every_block_was_left(self) -> None:
        with transaction.atomic():
            with transaction.atomic():
                Ticked(1).dispatch()
                assert (self.numbers(), self.waiting()) == ([], [1])
            assert (self.numbers(), self.waiting()) == ([], [1])
            with pytest.raises(AssertionError, match="Waiting for a commit:\n  Ticked"):
                self.broadcasts.assert_broadcast(Ticked)
        assert (self.numbers(), self.waiting()) == ([1], [])

    def test_rolled_back_events_are_in_neither(self) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
            with undone():
                Ticked(2).dispatch()
            assert self.waiting() == [1]
        with undone(), transaction.atomic():
            Ticked(3).dispatch()
        assert (self.numbers(), self.waiting()) == ([1], [])

    def test_a_block_without_a_savepoint_is_part_of_its_parent(self) -> None:
        with undone():
            with transaction.atomic(savepoint=False):
                Ticked(1).dispatch()
            assert self.waiting() == [1]
        with transaction.atomic(), transaction.atomic(savepoint=False):
            Ticked(2).dispatch()
        assert (self.numbers(), self.waiting()) == ([2], [])

    def test_order_is_kept_among_those_that_waited_and_those_that_did_not(self) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
        Ticked(2).dispatch()
        with transaction.atomic():
            Ticked(3).dispatch()
        assert self.numbers() == [1, 2, 3]

    def test_it_is_read_after_the_with_too(self) -> None:
        with fake() as broadcasts, transaction.atomic():
            Ticked(1).dispatch()
        broadcasts.assert_broadcast(Ticked, times=1)
        self.broadcasts.assert_nothing_broadcast()

    def test_capturing_callbacks_does_not_record_twice(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            Ticked(1).dispatch()
            with transaction.atomic():
                Ticked(2).dispatch()
        assert len(callbacks) == 2
        assert self.numbers() == [1, 2]
        for callback in callbacks:
            callback()
        assert self.numbers() == [1, 2]

    def test_capturing_without_executing_changes_nothing(self) -> None:
        with self.captureOnCommitCallbacks():
            Ticked(1).dispatch()
        assert self.numbers() == [1]

    def test_other_databases_have_their_own_blocks(self) -> None:
        order = Order.objects.using("other").create(status="shipped")
        with transaction.atomic(using="other"):
            OrderShipped(order).dispatch()
            Ticked(1).dispatch()
            assert [record.name for record in self.broadcasts.sent] == ["Ticked"]
            assert [pending.using for pending in self.broadcasts.pending] == ["other"]
        assert len(self.broadcasts.sent) == 2

    def test_a_broken_transaction_sends_nothing(self) -> None:
        with transaction.atomic():
            with transaction.atomic():
                Ticked(1).dispatch()
            transaction.set_rollback(True)
        assert (self.numbers(), self.waiting()) == ([], [])

    def test_a_view_is_recorded_with_its_socket(self) -> None:
        order = Order.objects.create()
        Client().post(f"/testapp/orders/{order.pk}/ship/", headers={"X-Socket-ID": "12.34"})
        self.broadcasts.assert_to_others(OrderShipped, socket="12.34")
        self.broadcasts.assert_broadcast(
            OrderShipped,
            lambda event: event.order == order,
            on=PrivateChannel(f"orders.{order.pk}"),
            times=1,
        )

    def test_a_mistake_in_a_payload_shows_when_it_is_sent(self) -> None:
        with pytest.raises(PayloadError), transaction.atomic(), transaction.atomic():
            Ticked(object()).dispatch()  # type: ignore[arg-type]
        assert self.broadcasts.sent == []

    def test_a_mistake_is_not_hidden_by_a_fake_that_nobody_asks(self) -> None:
        with pytest.raises(PayloadError), fake(), transaction.atomic():
            Ticked(object()).dispatch()  # type: ignore[arg-type]
        Ticked(1).dispatch()
        assert self.numbers() == [1]

    def test_an_error_in_the_with_is_the_one_that_is_raised(self) -> None:
        @fake()
        def broken() -> None:
            with transaction.atomic(savepoint=False):
                Ticked(object()).dispatch()  # type: ignore[arg-type]
            raise Undone

        with pytest.raises(Undone):
            broken()

    def test_what_is_changed_after_the_with_was_sent_as_it_was(self) -> None:
        order = Order.objects.create(status="shipped")
        with fake() as broadcasts, transaction.atomic():
            OrderShipped(order).dispatch()
        order.status = "returned"
        broadcasts.assert_payload(OrderShipped, {"order": {"status": "shipped"}}, partial=True)

    def test_a_truth_is_no_number(self) -> None:
        Ticked(True).dispatch()
        self.broadcasts.assert_payload(Ticked, {"number": True})
        for partial in (True, False):
            with pytest.raises(AssertionError):
                self.broadcasts.assert_payload(Ticked, {"number": 1}, partial=partial)

    def test_what_is_changed_after_its_block_was_sent_as_it_was(self) -> None:
        order = Order.objects.create(status="shipped")
        pk = order.pk
        with transaction.atomic():
            OrderShipped(order).dispatch()
        order.status = "returned"
        order.delete()
        self.broadcasts.assert_broadcast(OrderShipped, on=PrivateChannel(f"orders.{pk}"))
        self.broadcasts.assert_payload(OrderShipped, {"order": {"status": "shipped"}}, partial=True)

    def test_fakes_in_fakes_leave_the_connection_as_it_was(self) -> None:
        with fake() as outer:
            with transaction.atomic():
                OrderShipped(Order(pk=1)).dispatch()
                with fake(only=Ticked) as inner, transaction.atomic():
                    Ticked(2).dispatch()
            with transaction.atomic():
                Ticked(3).dispatch()
        assert [record.name for record in inner.sent] == ["Ticked"]
        assert [record.name for record in outer.sent] == ["OrderShipped", "Ticked"]
        assert "savepoint_commit" not in vars(connections["default"])

    def test_nothing_is_sent_while_the_block_is_bound_to_fail(self) -> None:
        with transaction.atomic():
            with transaction.atomic():
                Ticked(1).dispatch()
            transaction.set_rollback(True)
            assert self.numbers() == []
        assert (self.numbers(), self.waiting()) == ([], [])

    async def test_async_tests_work_too(self) -> None:
        await Ticked(1).adispatch()
        assert self.numbers() == [1]
        Ticked(2).dispatch()
        assert self.numbers() == [1, 2]

    async def test_an_async_fake_leaves_the_connection_as_it_was(self) -> None:
        with fake() as broadcasts:
            Ticked(1).dispatch()
        assert len(broadcasts.sent) == 1
        # The outer one is this test's own, and has seen no event.
        assert "savepoint_commit" not in await sync_to_async(lambda: vars(connections["default"]))()

    async def test_an_async_mistake_does_not_pass_unseen(self) -> None:
        with pytest.raises(PayloadError), fake():
            Ticked(object()).dispatch()  # type: ignore[arg-type]
        with fake() as broadcasts:
            Ticked(object()).dispatch()  # type: ignore[arg-type]
            with pytest.raises(PayloadError):
                broadcasts.assert_nothing_broadcast()

    def test_clear_forgets_what_waits(self) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
            self.broadcasts.clear()
        assert (self.numbers(), self.waiting()) == ([], [])


class TestInTransactionTestCase(BroadcastingTestMixin, TransactionTestCase):
    """Here commits are real."""

    def test_a_commit_sends_and_a_rollback_drops(self) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
            Ticked(2).dispatch()
            assert self.broadcasts.sent == []
            assert len(self.broadcasts.pending) == 2
        with undone():
            Ticked(3).dispatch()
        assert [record.payload["number"] for record in self.broadcasts.sent] == [1, 2]
        assert self.broadcasts.pending == []

    def test_what_waits_when_the_fake_ends_never_leaves_for_real(self) -> None:
        with transaction.atomic():
            with fake() as inner:
                Ticked(1).dispatch()
            assert len(inner.pending) == 1
        assert len(inner.sent) == 1
        self.broadcasts.assert_nothing_broadcast()
        assert not connection.in_atomic_block


def test_the_fixture_works_with_pytests_own_transaction(
    db: None, broadcasts: FakeBroadcasts
) -> None:
    with transaction.atomic():
        Ticked(1).dispatch()
        assert broadcasts.sent == []
    broadcasts.assert_broadcast(Ticked, times=1)


def test_pytest_finds_the_fixture_through_an_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    plugin = import_module(project["entry-points"]["pytest11"]["broadcasting"])
    assert hasattr(plugin, "broadcasts")
