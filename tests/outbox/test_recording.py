"""What a transaction leaves in the outbox, and what never goes there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from broadcasting.dispatching import batch, flush
from broadcasting.exceptions import QueueUnavailable
from broadcasting.models import OutboxEntry
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import rows
from broadcasting.queues.outbox.body import Body
from tests.outbox.conftest import relay, rolled_back, sent, waiting
from tests.outbox.site import Said, SaidAtOnce, SaidElsewhere, SaidNow, SaidOnce
from tests.testapp.events import OrderShipped
from tests.testapp.models import Order

Use = Callable[..., None]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("outbox"),
]


class TestTransaction:
    def test_a_commit_leaves_the_event_to_be_relayed(self) -> None:
        with transaction.atomic():
            Order.objects.create()
            Said(1).dispatch()
            assert waiting() == 1
        assert sent() == []
        relay()
        assert sent() == [1]
        assert waiting() == 0

    def test_a_rollback_leaves_nothing(self) -> None:
        with rolled_back():
            Said(1).dispatch()
        with transaction.atomic():
            Said(2).dispatch()
            with rolled_back():
                Said(3).dispatch()
        relay()
        assert sent() == [2]

    def test_without_a_transaction_it_is_recorded_at_once(self) -> None:
        Said(1).dispatch()
        assert waiting() == 1

    def test_it_says_what_held_when_it_was_dispatched(self) -> None:
        with transaction.atomic():
            order = Order.objects.create(status="paid")
            OrderShipped(order).dispatch()
            order.status = "shipped"
            order.save()
        assert '\\"status\\":\\"paid\\"' in OutboxEntry.objects.get().body.replace(" ", "")

    def test_it_costs_one_statement(self) -> None:
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            Said(1).dispatch()
        assert [query["sql"].split()[0] for query in queries] == ["INSERT"]

    def test_batch_does_not_hold_it_back(self) -> None:
        with batch():
            with transaction.atomic():
                Said(1).dispatch()
                assert waiting() == 1
            assert waiting() == 1

    def test_outside_a_transaction_batch_makes_one_entry(self) -> None:
        with batch():
            Said(1).dispatch()
            Said(2, ("sport",)).dispatch()
        entry = OutboxEntry.objects.get()
        assert entry.lines.split("\n") == ["default news", "default sport"]
        relay()
        assert sent() == [1, 2]


class TestAsync:
    def test_adispatch_joins_the_transaction_of_the_caller(self) -> None:
        with rolled_back():
            async_to_sync(Said(1).adispatch)()
        with transaction.atomic():
            async_to_sync(Said(2).adispatch)()
        relay()
        assert sent() == [2]

    def test_dispatch_on_a_loop_joins_it_too(self) -> None:
        async def view(number: int) -> None:
            Said(number).dispatch()

        with rolled_back():
            async_to_sync(view)(1)
        with transaction.atomic():
            async_to_sync(view)(2)
        relay()
        assert sent() == [2]

    def test_on_a_loop_of_its_own(self) -> None:
        async def script() -> None:
            await Said(1).adispatch()
            await SaidOnce(2).adispatch()
            Said(3).dispatch()

        asyncio.run(script())
        assert flush(5)
        relay()
        assert sorted(sent()) == [1, 2, 3]


class TestPastTheOutbox:
    def test_after_commit_false_leaves_at_once(self) -> None:
        with rolled_back():
            SaidAtOnce(1).dispatch()
            assert sent() == [1]
            async_to_sync(SaidAtOnce(2).adispatch)()
            assert sent() == [1, 2]
        assert waiting() == 0
        # Where no transaction is open there is nothing to get past.
        SaidAtOnce(3).dispatch()
        assert waiting() == 1

    def test_now_leaves_with_the_commit_and_is_never_recorded(self) -> None:
        with transaction.atomic():
            SaidNow(1).dispatch()
            assert sent() == []
        assert sent() == [1]
        assert waiting() == 0

    def test_a_lock_in_a_cache_waits_for_the_commit(self) -> None:
        with rolled_back():
            SaidOnce(1).dispatch()
            assert waiting() == 0
        with transaction.atomic():
            SaidOnce(2).dispatch()
            SaidOnce(3).dispatch()
        relay()
        # The lock was never taken for the one that was undone.
        assert sent() == [2]


class TestOptions:
    def test_a_transaction_elsewhere_needs_an_outbox_there(self, outbox: Use) -> None:
        with transaction.atomic("other"), pytest.raises(ImproperlyConfigured, match="'other'"):
            SaidElsewhere(1).dispatch()
        outbox(databases=["default", "other"])
        with rolled_back("other"):
            SaidElsewhere(1).dispatch()
        with transaction.atomic("other"):
            SaidElsewhere(2).dispatch()
        assert (waiting(), waiting("other")) == (0, 1)
        relay()
        assert sent() == [2]

    def test_a_delay_is_kept(self) -> None:
        with transaction.atomic():
            Said(1).delay(3600).dispatch()
            Said(2).dispatch()
        relay()
        # It asked to be late, and so it holds nobody up.
        assert sent() == [2]
        OutboxEntry.objects.update(due_at=timezone.now())
        relay()
        assert sent() == [2, 1]

    def test_expires_counts_from_when_it_is_due(self, caplog: Any) -> None:
        Said(1).expires(5).dispatch()
        Said(2).delay(100).expires(5).dispatch()
        first, second = OutboxEntry.objects.order_by("number")
        assert first.expires_at - first.due_at == timedelta(seconds=5)
        assert second.expires_at - second.created_at == timedelta(seconds=105)
        OutboxEntry.objects.update(expires_at=timezone.now())
        relay()
        assert sent() == []
        assert "expired" in caplog.text
        assert waiting() == 1

    def test_what_names_no_end_waits_for_a_day(self, outbox: Use) -> None:
        Said(1).dispatch()
        outbox(expires=7)
        Said(2).dispatch()
        first, second = OutboxEntry.objects.order_by("number")
        assert first.expires_at - first.due_at == timedelta(days=1)
        assert second.expires_at - second.due_at == timedelta(seconds=7)

    def test_a_job_that_cannot_be_recorded_is_told_whatever_rescue_says(
        self, configure: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(RESCUE=True)
        get_queue()

        def fail(*args: Any, **kwargs: Any) -> None:
            raise OperationalError("disk full")

        monkeypatch.setattr(rows, "record", fail)
        with pytest.raises(QueueUnavailable, match="disk full"), transaction.atomic():
            Said(1).dispatch()

    @pytest.mark.parametrize(
        "options",
        [
            {"databases": []},
            {"databases": ["nowhere"]},
            {"databases": "default"},
            {"tries": 0},
            {"poll": 0},
            {"lease": True},
            {"batch": 1.5},
            {"backoff": 1},
            {"relay": "yes"},
            {"then": 3},
            {"then": "outbox"},
            {"then": "nothing"},
            {"expires": 0},
            {"unheard": 1},
        ],
    )
    def test_a_wrong_option_is_told(self, outbox: Use, options: dict[str, Any]) -> None:
        outbox(**options)
        with pytest.raises(ImproperlyConfigured):
            get_queue()

    def test_what_is_recorded_is_versioned_json_and_shows_no_payload(self) -> None:
        Said(77).dispatch()
        entry = OutboxEntry.objects.get()
        body = Body.from_text(entry.body)
        assert entry.body.startswith('{"v":1,')
        assert "77" not in f"{body!r} {entry!r} {entry}"
