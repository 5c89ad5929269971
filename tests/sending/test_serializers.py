"""Serializers of Django REST framework show what may leave."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework import serializers

from broadcasting import BroadcastsEvents, ShouldBroadcast
from broadcasting.broadcastable.options import model_options
from broadcasting.encoding import encode
from broadcasting.exceptions import PayloadError
from broadcasting.testing import FakeBroadcasts
from tests.testapp.models import Order


class OrderSerializer(serializers.ModelSerializer[Order]):
    number = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields = ("id", "total", "number")

    def get_number(self, order: Order) -> str:
        return f"#{order.pk}"


class Shown(ShouldBroadcast):
    order: Any
    note: Any = ""

    class Meta:
        serializer = OrderSerializer

    def broadcast_on(self) -> str:
        return "orders"


class ByName(Shown):
    class Meta:
        serializer = {"note": OrderSerializer}  # noqa: RUF012
        fields = {"order": ["id"]}  # noqa: RUF012


class Whole(Shown):
    def broadcast_with(self) -> Any:
        return OrderSerializer(self.order)


class Nested(Shown):
    def broadcast_with(self) -> Any:
        return {"deep": [OrderSerializer(self.order)], "data": OrderSerializer(self.order).data}


ORDER = Order(pk=3, total=Decimal("1.50"), status="hush")
SHOWN = {"id": 3, "total": "1.50", "number": "#3"}


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (Shown(ORDER, "n"), {"order": SHOWN, "note": "n"}),
        (Shown([ORDER, ORDER], None), {"order": [SHOWN, SHOWN], "note": None}),
        (Shown([], 1), {"order": [], "note": 1}),
        (ByName(ORDER, ORDER), {"order": {"id": 3}, "note": SHOWN}),
        (ByName(ORDER, None), {"order": {"id": 3}, "note": None}),
        (Whole(ORDER), SHOWN),
        (Nested(ORDER), {"deep": [SHOWN], "data": SHOWN}),
    ],
)
def test_what_a_serializer_shows_is_what_leaves(
    broadcasts: FakeBroadcasts, event: ShouldBroadcast, payload: Any
) -> None:
    """App 5: serializers."""
    event.dispatch()
    broadcasts.assert_payload(type(event), payload)


@pytest.mark.django_db
def test_a_queryset_is_shown_as_many() -> None:
    Order.objects.create(pk=3, total="1.50")
    assert encode({"orders": Order.objects.all()}, None, {"": OrderSerializer}) == (
        '{"orders":[{"id":3,"total":"1.50","number":"#3"}]}'
    )


@pytest.mark.parametrize("given", [5, "OrderSerializer", {"order": ""}])
def test_what_is_no_serializer_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"Meta\.serializer: must be a serializer class"):

        class Wrong(Shown):
            class Meta:
                serializer = given


class Half(Shown):
    class Meta:
        serializer = {"note": OrderSerializer}  # noqa: RUF012


def test_rows_that_no_serializer_is_for_are_refused(broadcasts: FakeBroadcasts) -> None:
    with pytest.raises(PayloadError, match=r"^order: "):
        Half(ORDER).dispatch()


class Row(BroadcastsEvents):
    class BroadcastMeta:
        serializer = OrderSerializer


def test_rows_that_broadcast_may_have_one() -> None:
    options = model_options(Row)
    assert options.event.serializer == {"": OrderSerializer}
    order = {"model": ORDER}
    assert encode(order, options.event.fields, options.event.serializer) == (
        '{"model":{"id":3,"total":"1.50","number":"#3"}}'
    )


class ByPath(BroadcastsEvents):
    class BroadcastMeta:
        serializer = f"{__name__}.OrderSerializer"


def test_it_may_be_named_since_it_is_made_after_its_model() -> None:
    options = model_options(ByPath)
    assert encode({"model": ORDER}, options.event.fields, options.event.serializer) == (
        '{"model":{"id":3,"total":"1.50","number":"#3"}}'
    )


def test_but_not_by_name() -> None:
    class Wrong(Row):
        class BroadcastMeta:
            serializer = {"model": OrderSerializer}  # noqa: RUF012

    with pytest.raises(TypeError, match="must be a class"):
        model_options(Wrong)
