"""What a test can claim about a fake, and what it is told when that is not so."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from broadcasting import PresenceChannel, PrivateChannel, ShouldBroadcast
from broadcasting.testing import FakeBroadcasts
from tests.sending.test_fakes import SHIPPED, shipped
from tests.testapp.events import OrderCancelled, OrderShipped, Ticked
from tests.testapp.models import Order


class Basket(ShouldBroadcast):
    items: list[str]

    def broadcast_on(self) -> str:
        return "baskets"

    def __len__(self) -> int:
        return len(self.items)


class TestAssertions:
    """App 21: claims hold, or fail with a text."""

    def test_on_wants_those_channels_among_the_others(self, broadcasts: FakeBroadcasts) -> None:
        class Both(Ticked):
            def broadcast_on(self) -> Any:
                return [PrivateChannel("orders.1"), PresenceChannel("chat.1")]

        Both().dispatch()
        broadcasts.assert_broadcast(Both, on=PrivateChannel("orders.1"))
        broadcasts.assert_broadcast(Both, on="presence-chat.1")
        broadcasts.assert_broadcast(Both, on=["presence-chat.1", PrivateChannel("orders.1")])
        with pytest.raises(AssertionError, match="Both on orders was not broadcast"):
            broadcasts.assert_broadcast(Both, on="orders")

    def test_an_event_is_named_by_class_base_class_or_wire_name(
        self, broadcasts: FakeBroadcasts
    ) -> None:
        OrderCancelled(Order(pk=1)).dispatch()
        broadcasts.assert_broadcast(OrderCancelled)
        broadcasts.assert_broadcast(ShouldBroadcast)
        broadcasts.assert_broadcast("order.cancelled")
        broadcasts.assert_not_broadcast("OrderCancelled")

    def test_a_predicate_looks_at_the_event(self, broadcasts: FakeBroadcasts) -> None:
        Ticked(1).dispatch()
        broadcasts.assert_broadcast(Ticked, lambda event: event.number == 1)
        broadcasts.assert_not_broadcast(Ticked, lambda event: event.number == 2)
        with pytest.raises(AssertionError, match="satisfies the predicate"):
            broadcasts.assert_broadcast(Ticked, lambda event: event.number == 2)

    def test_so_it_does_at_one_that_counts_as_nothing(self, broadcasts: FakeBroadcasts) -> None:
        Basket([]).dispatch()
        broadcasts.assert_broadcast(Basket, lambda event: event.items == [])

    @pytest.mark.parametrize("claim", ["assert_broadcast", "assert_not_broadcast"])
    def test_what_no_event_could_be_is_a_mistake(
        self, broadcasts: FakeBroadcasts, claim: str
    ) -> None:
        Ticked(1).dispatch()
        for no_event in (Order, Ticked(1), ["Ticked"]):
            with pytest.raises(TypeError, match="neither an event class nor the name"):
                getattr(broadcasts, claim)(no_event)

    def test_times_counts(self, broadcasts: FakeBroadcasts) -> None:
        broadcasts.assert_broadcast(Ticked, times=0)
        Ticked().dispatch()
        Ticked().dispatch()
        broadcasts.assert_broadcast(Ticked, times=2)
        with pytest.raises(AssertionError, match="Ticked was broadcast twice, not once"):
            broadcasts.assert_broadcast(Ticked, times=1)

    def test_a_payload_is_exact_or_a_subset(self, broadcasts: FakeBroadcasts) -> None:
        shipped().dispatch()
        broadcasts.assert_payload(OrderShipped, SHIPPED)
        broadcasts.assert_payload(OrderShipped, {"order": {"id": 1}}, partial=True)
        with pytest.raises(AssertionError, match="but with:") as raised:
            broadcasts.assert_payload(OrderShipped, {"order": {"id": 1}})
        assert '\n  {"order":{"id":1,"status":"shipped"},' in str(raised.value)
        assert "OrderShipped on private-orders.1 (via default, queue" in str(raised.value)
        with pytest.raises(AssertionError, match="at least"):
            broadcasts.assert_payload(OrderShipped, {"order": {"id": 2}}, partial=True)

    def test_an_expected_payload_may_hold_pythons_values(self, broadcasts: FakeBroadcasts) -> None:
        class Priced(Ticked):
            def broadcast_with(self) -> Any:
                return {"price": Decimal("1.50"), "on": datetime.date(2026, 1, 2)}

        Priced().dispatch()
        broadcasts.assert_payload(Priced, Priced().broadcast_with())

    def test_to_others_names_the_socket(self, broadcasts: FakeBroadcasts) -> None:
        Ticked().to_others("1.2").dispatch()
        broadcasts.assert_to_others(Ticked)
        broadcasts.assert_to_others(Ticked, socket="1.2")
        with pytest.raises(AssertionError, match=r"Ticked did not leave out 3\.4"):
            broadcasts.assert_to_others(Ticked, socket="3.4")
        broadcasts.clear()
        Ticked().dispatch()
        with pytest.raises(AssertionError, match="did not leave out any socket"):
            broadcasts.assert_to_others(Ticked)

    def test_the_queue_can_be_asserted(self, broadcasts: FakeBroadcasts) -> None:
        OrderCancelled(Order(pk=1)).dispatch()
        broadcasts.assert_queued_on("realtime", OrderCancelled)
        with pytest.raises(AssertionError, match="not pushed on the queue 'high'"):
            broadcasts.assert_queued_on("high", OrderCancelled)

    def test_a_failure_lists_what_was_sent_instead(self, broadcasts: FakeBroadcasts) -> None:
        with pytest.raises(AssertionError) as raised:
            broadcasts.assert_broadcast(Ticked)
        assert str(raised.value) == "Ticked was not broadcast.\nSent:\n  nothing"
        OrderCancelled(Order(pk=1)).to_others("1.2").dispatch()
        with pytest.raises(AssertionError) as raised:
            broadcasts.assert_nothing_broadcast()
        assert str(raised.value) == (
            "Something was broadcast.\nSent:\n"
            "  order.cancelled on private-testapp.Order.1"
            " (via default, queue realtime, except to 1.2)"
        )
        with pytest.raises(AssertionError, match="OrderCancelled was broadcast"):
            broadcasts.assert_not_broadcast(OrderCancelled)

    @pytest.mark.parametrize(
        ("claim", "words"),
        [
            (lambda b: b.assert_broadcast(OrderShipped), "OrderShipped was not broadcast."),
            (
                lambda b: b.assert_broadcast(Ticked, on="orders"),
                "Ticked on orders was not broadcast.",
            ),
            (
                lambda b: b.assert_broadcast(Ticked, lambda event: event.number > 1),
                "Ticked was not broadcast with an event that satisfies the predicate.",
            ),
            (
                lambda b: b.assert_broadcast("Ticked", times=3),
                "Ticked was broadcast once, not 3 times.",
            ),
            (
                lambda b: b.assert_payload(Ticked, {"number": Decimal(1)}),
                'Ticked was not broadcast with {"number":"1"}, but with:\n  {"number":1}',
            ),
            (lambda b: b.assert_to_others(Ticked), "Ticked did not leave out any socket."),
            (
                lambda b: b.assert_queued_on("high", Ticked),
                "Ticked was not pushed on the queue 'high'.",
            ),
            (lambda b: b.assert_not_broadcast(Ticked), "Ticked was broadcast."),
            (lambda b: b.assert_nothing_broadcast(), "Something was broadcast."),
        ],
    )
    def test_every_failure_says_what_was_wanted_and_what_there_was(
        self, broadcasts: FakeBroadcasts, claim: Callable[[FakeBroadcasts], object], words: str
    ) -> None:
        Ticked(1).dispatch()
        with pytest.raises(AssertionError) as raised:
            claim(broadcasts)
        there_was = "Sent:\n  Ticked on ticker (via default, queue broadcasts)"
        assert str(raised.value) == f"{words}\n{there_was}"

    @pytest.mark.django_db(transaction=True)
    def test_a_failure_names_what_still_waits(self, broadcasts: FakeBroadcasts) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
            with pytest.raises(AssertionError) as raised:
                broadcasts.assert_broadcast(Ticked)
        assert str(raised.value) == (
            "Ticked was not broadcast.\nSent:\n  nothing\n"
            "Waiting for a commit:\n  Ticked (via default, queue broadcasts, database default)"
        )
