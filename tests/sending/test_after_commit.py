"""Where an event may be dispatched from, and what a commit or a rollback does to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from celery import Celery
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models.signals import post_save
from django.test import AsyncClient, Client
from django.utils import timezone
from django.utils.translation import get_language, override

from broadcasting import Channel, ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import AutocommitOff
from tests.testapp.events import OrderShipped, Ticked
from tests.testapp.models import Order
from tests.testapp.views import Undone, ship_order

Outbox = list[Broadcast]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class TickedNow(Ticked):
    class Meta:
        now = True


class TickedAtOnce(Ticked):
    class Meta:
        after_commit = False


class TickedOther(Ticked):
    class Meta:
        using = "other"


class WritesToDefault:
    """A router, as sites with a read replica have one."""

    def db_for_read(self, model: type[Order], **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: type[Order], **hints: Any) -> str:
        return "default"


@pytest.fixture
def order() -> Order:
    return Order.objects.create()


def shipped(order: Order) -> list[str]:
    return [f'{{"order":{{"id":{order.pk},"status":"shipped"}},"tracking_code":""}}']


def data(outbox: Outbox) -> list[str]:
    return [sent.data for sent in outbox]


def numbers(outbox: Outbox) -> list[str]:
    return [sent.data.removeprefix('{"number":').removesuffix("}") for sent in outbox]


def in_thread(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            close_connections()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def close_connections() -> None:
    """Close those of this thread, or of this asyncio task, which has its own too."""
    for each in connections.all(initialized_only=True):
        if each.connection is not None:
            # Django itself never closes a database that lives in memory.
            each.connection.close()


@contextmanager
def undone() -> Iterator[None]:
    """A transaction, or savepoint, that is rolled back at its end."""
    with suppress(Undone), transaction.atomic():
        yield
        raise Undone


class TestContexts:
    def test_a_view(self, outbox: Outbox, client: Client, order: Order) -> None:
        """App 8."""
        assert client.post(f"/testapp/orders/{order.pk}/ship/?fail=1").status_code == 409
        assert outbox == []
        assert client.post(f"/testapp/orders/{order.pk}/ship/").status_code == 204
        assert data(outbox) == shipped(order)

    def test_a_view_with_atomic_requests(
        self, outbox: Outbox, client: Client, order: Order
    ) -> None:
        """App 8."""
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            client.post(f"/testapp/orders/{order.pk}/ship/")
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
        assert data(outbox) == shipped(order)

    async def test_an_async_view(self, outbox: Outbox, async_client: AsyncClient) -> None:
        """App 8: an async view."""
        order = await Order.objects.acreate()
        response = await async_client.post(f"/testapp/orders/{order.pk}/aship/?fail=1")
        assert response.status_code == 409
        assert outbox == []
        response = await async_client.post(f"/testapp/orders/{order.pk}/aship/")
        assert response.status_code == 204
        assert data(outbox) == shipped(order)

    async def test_an_async_view_outside_a_transaction(
        self, outbox: Outbox, async_client: AsyncClient
    ) -> None:
        """App 8: autocommit in an async view."""
        await async_client.post("/testapp/tick/7/")
        assert numbers(outbox) == ["7"]

    def test_a_signal_handler(self, outbox: Outbox, order: Order) -> None:
        def announce(instance: Order, **kwargs: Any) -> None:
            OrderShipped(instance).dispatch()

        post_save.connect(announce, sender=Order)
        try:
            order.status = "shipped"
            with undone():
                order.save()
            assert outbox == []
            order.save()
            with transaction.atomic():
                order.save()
                assert len(outbox) == 1
        finally:
            post_save.disconnect(announce, sender=Order)
        assert data(outbox) == shipped(order) * 2

    def test_an_async_signal_handler(self, outbox: Outbox, order: Order) -> None:
        async def announce(instance: Order, **kwargs: Any) -> None:
            OrderShipped(instance).dispatch()

        post_save.connect(announce, sender=Order)
        try:
            order.status = "shipped"
            with undone():
                order.save()
            assert flush(5)
            assert outbox == []
            order.save()
            assert data(outbox) == shipped(order)
            with transaction.atomic():
                order.save()
                assert len(outbox) == 1
        finally:
            post_save.disconnect(announce, sender=Order)
        assert data(outbox) == shipped(order) * 2

    @pytest.mark.parametrize("fail", [True, False])
    def test_async_code_called_from_sync_code(self, outbox: Outbox, fail: bool) -> None:
        """App 8."""

        async def work() -> None:
            Ticked(1).dispatch()
            await asyncio.create_task(later())

        async def later() -> None:
            Ticked(2).dispatch()
            await asyncio.sleep(0)
            Ticked(3).dispatch()

        with undone() if fail else transaction.atomic():
            async_to_sync(work)()
            assert outbox == []
        assert numbers(outbox) == ([] if fail else ["1", "2", "3"])
        async_to_sync(work)()
        assert numbers(outbox)[-3:] == ["1", "2", "3"]

    def test_such_code_keeps_its_language_and_zone(self, outbox: Outbox) -> None:
        class Told(Ticked):
            def broadcast_with(self) -> Any:
                return {"language": get_language(), "zone": timezone.get_current_timezone_name()}

        async def work() -> None:
            with override("de"), timezone.override("Europe/Berlin"):
                Told(1).dispatch()
                await asyncio.sleep(0)

        async_to_sync(work)()
        assert data(outbox) == ['{"language":"de","zone":"Europe/Berlin"}']
        assert get_language() != "de"

    def test_a_mistake_in_such_code_is_logged(
        self, outbox: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Ticked):
            def broadcast_with(self) -> Any:
                raise LookupError("mine")

        async def work() -> None:
            Broken(1).dispatch()

        async_to_sync(work)()
        assert "Broken was not broadcast" in caplog.text
        assert "LookupError: mine" in caplog.text

    def test_a_celery_task(self, outbox: Outbox, order: Order) -> None:
        app = Celery("tests", set_as_current=False)
        task = app.task(ship_order)
        assert isinstance(task.apply((order.pk,), {"fail": True}).result, Undone)
        assert outbox == []
        task.apply((order.pk,), {"fail": False}).get()
        assert data(outbox) == shipped(order)

    def test_the_shell(self, outbox: Outbox, order: Order) -> None:
        order.status = "shipped"
        OrderShipped(order).dispatch()
        assert data(outbox) == shipped(order)

    def test_a_management_command(self, outbox: Outbox, order: Order) -> None:
        with pytest.raises(CommandError):
            call_command("ship_order", order.pk, "--fail")
        assert outbox == []
        call_command("ship_order", order.pk)
        assert data(outbox) == shipped(order)

    def test_a_plain_thread(self, outbox: Outbox, order: Order) -> None:
        with pytest.raises(Undone):
            in_thread(lambda: ship_order(order.pk, fail=True))
        assert outbox == []
        in_thread(lambda: ship_order(order.pk, fail=False))
        assert data(outbox) == shipped(order)

    def test_a_transaction_of_another_thread_is_not_waited_for(self, outbox: Outbox) -> None:
        with transaction.atomic():
            in_thread(Ticked(1).dispatch)
            assert numbers(outbox) == ["1"]

    async def test_a_running_event_loop(self, outbox: Outbox) -> None:
        order = Order(pk=5, status="shipped")
        OrderShipped(order).dispatch()
        Ticked(1).dispatch()
        assert flush(5)
        assert data(outbox) == [*shipped(order), '{"number":1}']

    async def test_a_running_loop_whose_thread_holds_a_transaction(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with undone():
            Ticked(1).dispatch()
        with transaction.atomic():
            Ticked(2).dispatch()
            assert flush(5)
            assert outbox == []
        assert flush(5)
        assert numbers(outbox) == ["2"]
        close_connections()

    @pytest.mark.parametrize("fail", [True, False])
    async def test_adispatch_in_a_transaction_of_async_code(
        self, outbox: Outbox, fail: bool
    ) -> None:
        """App 8."""
        atomic = transaction.atomic()
        await sync_to_async(atomic.__enter__)()
        await Ticked(1).adispatch()
        assert outbox == []
        error = (Undone, Undone(), None) if fail else (None, None, None)
        await sync_to_async(atomic.__exit__)(*error)
        assert numbers(outbox) == ([] if fail else ["1"])

    async def test_a_task_of_a_running_loop(self, outbox: Outbox) -> None:
        await asyncio.gather(*(Ticked(n).adispatch() for n in range(5)))
        assert sorted(numbers(outbox)) == ["0", "1", "2", "3", "4"]


class TestTransactions:
    def test_the_event_waits_for_the_outermost_commit(self, outbox: Outbox) -> None:
        """App 8: the nested outer commit."""
        with transaction.atomic():
            with transaction.atomic():
                Ticked(1).dispatch()
            assert outbox == []
        assert numbers(outbox) == ["1"]

    def test_a_savepoint_that_is_rolled_back_takes_only_its_own(self, outbox: Outbox) -> None:
        """App 8: a savepoint's rollback."""
        with transaction.atomic():
            Ticked(1).dispatch()
            with undone():
                Ticked(2).dispatch()
                with transaction.atomic():
                    Ticked(3).dispatch()
            Ticked(4).dispatch()
        assert numbers(outbox) == ["1", "4"]

    def test_it_is_rendered_as_things_are_when_it_commits(
        self, outbox: Outbox, order: Order
    ) -> None:
        with transaction.atomic():
            OrderShipped(order).dispatch()
            order.status = "shipped"
        assert data(outbox) == shipped(order)

    def test_a_row_that_is_gone_at_commit_is_no_problem(self, outbox: Outbox, order: Order) -> None:
        pk = order.pk
        with transaction.atomic():
            OrderShipped(Order.objects.get(pk=pk)).dispatch()
            order.delete()
        assert data(outbox) == [f'{{"order":{{"id":{pk},"status":"new"}},"tracking_code":""}}']

    @pytest.mark.parametrize("held_in", ["itself", "a list", "a mapping"])
    def test_a_row_that_is_deleted_meanwhile_keeps_its_channel(
        self, outbox: Outbox, order: Order, held_in: str
    ) -> None:
        """App 9: the key of a deleted row."""

        class OrdersGone(ShouldBroadcast):
            orders: Any

            class Meta:
                fields = {"orders": ["id"]}  # noqa: RUF012

            def broadcast_on(self) -> list[Order]:
                rows = self.orders
                return [*(rows.values() if isinstance(rows, dict) else rows)]

            def broadcast_with(self) -> Any:
                return {"ids": [row.pk for row in self.broadcast_on()]}

        pk = order.pk
        with transaction.atomic():
            match held_in:
                case "itself":
                    OrderShipped(order).dispatch()
                case "a list":
                    OrdersGone([order]).dispatch()
                case "a mapping":
                    OrdersGone({"first": order}).dispatch()
            order.delete()
        (sent,) = outbox
        assert sent.channels[0].endswith(f".{pk}")
        assert str(pk) in sent.data
        assert "None" not in sent.channels[0]
        assert order.pk is None

    def test_now_still_waits_for_the_commit(self, outbox: Outbox) -> None:
        with transaction.atomic():
            TickedNow(1).dispatch()
            Ticked(2).now().dispatch()
            assert outbox == []
        assert numbers(outbox) == ["1", "2"]

    def test_after_commit_false_does_not_wait(self, outbox: Outbox) -> None:
        with undone():
            TickedAtOnce(1).dispatch()
            assert numbers(outbox) == ["1"]

    def test_meta_using_names_whose_transaction_counts(self, outbox: Outbox) -> None:
        with transaction.atomic(using="other"):
            TickedOther(1).dispatch()
            Ticked(2).dispatch()
            assert numbers(outbox) == ["2"]
            with transaction.atomic():
                TickedOther(3).dispatch()
            assert numbers(outbox) == ["2"]
        assert numbers(outbox) == ["2", "1", "3"]

    def test_the_first_models_database_counts_otherwise(self, outbox: Outbox) -> None:
        order = Order.objects.using("other").create(status="shipped")
        with transaction.atomic(using="other"):
            OrderShipped(order).dispatch()
            assert outbox == []
        assert data(outbox) == shipped(order)

    def test_a_list_of_models_or_a_queryset_tells_the_database_too(self, outbox: Outbox) -> None:
        class OrdersShipped(ShouldBroadcast):
            number: int
            orders: Any

            class Meta:
                fields = {"orders": ["status"]}  # noqa: RUF012

            def broadcast_on(self) -> Channel:
                return Channel("orders")

        order = Order.objects.using("other").create()
        with transaction.atomic(using="other"):
            OrdersShipped(1, [order]).dispatch()
            OrdersShipped(2, Order.objects.using("other").all()).dispatch()
            assert outbox == []
        assert data(outbox) == [f'{{"number":{n},"orders":[{{"status":"new"}}]}}' for n in (1, 2)]

    def test_so_does_a_model_among_other_values(self, outbox: Outbox) -> None:
        class Moved(ShouldBroadcast):
            _what: Any

            def broadcast_on(self) -> Channel:
                return Channel("orders")

        order = Order.objects.using("other").create()
        with transaction.atomic(using="other"):
            for held in ({"first": order}, ("shipped", order), [{"rows": {order}}]):
                Moved(held).dispatch()
            assert outbox == []
        assert len(outbox) == 3

    def test_a_row_that_was_read_from_a_replica_waits_where_it_is_written(
        self, outbox: Outbox, settings: Any
    ) -> None:
        order = Order.objects.create()
        read = Order.objects.get(pk=order.pk)
        read._state.db = "other"
        settings.DATABASE_ROUTERS = [f"{__name__}.WritesToDefault"]
        with undone():
            OrderShipped(read).dispatch()
        assert outbox == []
        with transaction.atomic():
            OrderShipped(read).dispatch()
            assert outbox == []
        assert len(outbox) == 1

    def test_so_does_a_model_that_is_not_shown(self, outbox: Outbox) -> None:
        class Hidden(ShouldBroadcast):
            _order: Order

            def broadcast_on(self) -> str:
                return "orders"

        class HandWritten(Hidden):
            def __init__(self, order: Order) -> None:
                self._order = order

        class Struct(ShouldBroadcast, msgspec.Struct):
            _order: Order

            def broadcast_on(self) -> str:
                return "orders"

        order = Order.objects.using("other").create()
        with transaction.atomic(using="other"):
            for event in (Hidden(order), HandWritten(order), Struct(order)):
                event.dispatch()
            assert outbox == []
        assert data(outbox) == ["{}"] * 3

    def test_only_what_is_there_is_looked_at(self, outbox: Outbox) -> None:
        class Lazy(Mapping[str, Any]):
            def __getitem__(self, key: str) -> Any:
                raise AssertionError("nobody asked for it")

            def __iter__(self) -> Iterator[str]:
                yield "a"

            def __len__(self) -> int:
                return 1

        class Holding(ShouldBroadcast):
            _what: Any

            def broadcast_on(self) -> str:
                return "orders"

        endless: list[Any] = []
        endless += [endless] * 40
        with transaction.atomic():
            for held in (Lazy(), endless, [{"n": n} for n in range(50_000)]):
                Holding(held).dispatch()
        assert len(outbox) == 3

    def test_an_error_in_a_hook_shows_at_the_commit(self, outbox: Outbox) -> None:
        class Broken(Ticked):
            def broadcast_with(self) -> Any:
                raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"), transaction.atomic():
            Broken().dispatch()


@pytest.fixture
def no_autocommit() -> Iterator[None]:
    connection.ensure_connection()
    transaction.set_autocommit(False)
    yield
    transaction.rollback()
    transaction.set_autocommit(True)


class TestWithoutAutocommit:
    @pytest.mark.usefixtures("no_autocommit")
    def test_outside_an_atomic_block_it_is_an_error_with_the_cure(self, outbox: Outbox) -> None:
        with pytest.raises(AutocommitOff, match="after_commit=False"):
            Ticked(1).dispatch()
        TickedAtOnce(2).dispatch()
        assert numbers(outbox) == ["2"]

    @pytest.mark.usefixtures("no_autocommit")
    def test_inside_an_atomic_block_it_waits_for_the_commit_by_hand(self, outbox: Outbox) -> None:
        with transaction.atomic():
            Ticked(1).dispatch()
        assert outbox == []
        transaction.commit()
        transaction.set_autocommit(True)  # which is when Django runs what waits
        assert numbers(outbox) == ["1"]

    def test_where_nobody_switches_it_on_a_block_is_no_cure(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection.ensure_connection()
        monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
        transaction.set_autocommit(False)
        try:
            with pytest.raises(AutocommitOff) as raised, transaction.atomic():
                Ticked(1).dispatch()
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
        assert "atomic()" not in str(raised.value)
        assert outbox == []

    def test_a_connection_that_was_never_opened_goes_by_its_settings(self, outbox: Outbox) -> None:
        def dispatch() -> None:
            connections[DEFAULT_DB_ALIAS].settings_dict = {
                **connections[DEFAULT_DB_ALIAS].settings_dict,
                "AUTOCOMMIT": False,
            }
            Ticked(1).dispatch()

        with pytest.raises(AutocommitOff):
            in_thread(dispatch)


class TestNoDatabase:
    def test_dispatching_opens_no_connection(self, outbox: Outbox) -> None:
        opened: list[Any] = []

        def dispatch() -> None:
            Ticked(1).dispatch()
            opened.extend(c.connection for c in connections.all(initialized_only=True))

        in_thread(dispatch)
        assert numbers(outbox) == ["1"]
        assert opened == [None]
