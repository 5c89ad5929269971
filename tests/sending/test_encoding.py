from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import json
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.encoding import encode
from broadcasting.exceptions import PayloadError
from tests.testapp.models import Order


class Status(enum.Enum):
    NEW = "new"


class Level(enum.IntEnum):
    HIGH = 3


class Choice(models.TextChoices):
    YES = "y", "Yes"


@dataclasses.dataclass
class Item:
    price: Any
    _cost: int = 1
    secret: str = dataclasses.field(default="s", metadata={"broadcast": False})


class Struct(msgspec.Struct, rename="camel"):
    unit_price: Any
    _cost: int = 1
    missing: int | msgspec.UnsetType = msgspec.UNSET


class Tagged(msgspec.Struct, tag="circle"):
    radius: int


class PydanticLike:
    def model_dump(self) -> dict[str, Any]:
        return {"at": datetime.date(2026, 1, 2)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        ("é/", '"é/"'),
        (Decimal("10.50"), '"10.50"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (
            datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
            '"2026-01-02T03:04:05.000006+00:00"',
        ),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (datetime.time(3, 4), '"03:04:00"'),
        (datetime.timedelta(days=1, seconds=5), '"P1DT00H00M05S"'),
        (Status.NEW, '"new"'),
        (Level.HIGH, "3"),
        (Choice.YES, '"y"'),
        (gettext_lazy("Yes"), '"Yes"'),
        (mark_safe("<b>"), '"<b>"'),
        (SimpleLazyObject(lambda: 7), "7"),
        (SimpleLazyObject(lambda: "text"), '"text"'),
        (SimpleLazyObject(lambda: None), "null"),
        ([1, (2, 3)], "[1,[2,3]]"),
        ({4}, "[4]"),
        (frozenset({4}), "[4]"),
        (range(2), "[0,1]"),
        ((n for n in (1, 2)), "[1,2]"),
        (
            {1: "a", Status.NEW: "b", uuid.UUID(int=1): "c"},
            '{"1":"a","new":"b","00000000-0000-0000-0000-000000000001":"c"}',
        ),
        (Item(price=Decimal(1)), '{"price":"1"}'),
        (Struct(unit_price=Decimal(1)), '{"unitPrice":"1"}'),
        (Tagged(radius=1), '{"type":"circle","radius":1}'),
        (PydanticLike(), '{"at":"2026-01-02"}'),
        ({}, "{}"),
    ],
)
def test_values_have_one_spelling(value: Any, text: str) -> None:
    """App 5: Decimals, UUIDs, dates, enums, lazy texts."""
    assert encode({"value": value}) == f'{{"value":{text}}}'


@pytest.mark.parametrize("payload", [Item(price=1), Struct(unit_price=1), PydanticLike()])
def test_typed_values_can_be_the_whole_payload(payload: Any) -> None:
    assert encode(payload) == encode({"value": payload})[len('{"value":') : -1]


def test_an_empty_payload_is_an_object() -> None:
    assert encode({}) == "{}"


def test_a_naive_datetime_is_in_the_current_time_zone() -> None:
    with timezone.override("Europe/Berlin"):
        assert encode([datetime.datetime(2026, 7, 1, 12)]) == '["2026-07-01T12:00:00+02:00"]'


def test_a_lone_surrogate_stays_valid_utf_8() -> None:
    assert encode({"a": "\ud800é"}).encode() == b'{"a":"\\ud800\\u00e9"}'


def test_a_bare_model_is_refused_with_the_cure() -> None:
    with pytest.raises(PayloadError) as raised:
        encode({"order": Order(pk=1)})
    assert str(raised.value) == "order: declare Meta.fields, a serializer or broadcast_with()"
    assert raised.value.path == "order"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"orders": [Order(pk=1)]}, "orders[0]"),
        ({"a": {"user": User(pk=1)}}, "a.user"),
        ({"user": SimpleLazyObject(lambda: User(pk=1))}, "user"),
        ({"order": {"items": [1, 2, 3, {"price": b"x"}]}}, "order.items[3].price"),
        ({"a": float("nan")}, "a"),
        ({"a": [float("inf")]}, "a[0]"),
        ({"a": object()}, "a"),
        ({"a": len}, "a"),
        ({"a": io.StringIO("secret")}, "a"),
        ({"a": {None: 1}}, "a"),
        ({"a": {True: 1}}, "a"),
        ({"a": {1: 1, "1": 2}}, "a.1"),
        ({1.5: 1}, "payload"),
        (Item(price=[b""]), "price[0]"),
        (Struct(unit_price={"x": {1j}}), "unitPrice.x[0]"),
        (b"bytes", "payload"),
        (User(pk=1), "payload"),
        ({"n": 10**5000}, "payload"),
    ],
)
def test_what_cannot_be_sent_is_named_by_its_path(payload: Any, path: str) -> None:
    """App 5: NaN, and what else JSON does not know."""
    with pytest.raises(PayloadError) as raised:
        encode(payload)
    assert raised.value.path == path


def test_declared_fields_are_all_that_leaves_in_their_order() -> None:
    """App 5: fields."""
    order = Order(pk=5, status="new", total=Decimal("9.90"), customer_id=3)
    fields = {"order": ["status", "id", "total", "customer_id"]}
    assert encode({"order": order}, fields) == (
        '{"order":{"status":"new","id":5,"total":"9.90","customer_id":3}}'
    )


def test_declared_fields_reach_into_lists_and_hold_for_any_object() -> None:
    fields = {"orders": ["id"]}
    orders = [Order(pk=1), Order(pk=2)]
    assert encode({"orders": orders}, fields) == '{"orders":[{"id":1},{"id":2}]}'
    assert encode({"orders": {"id": 3, "secret": 1}}, fields) == '{"orders":{"id":3}}'
    assert encode({"orders": None}, fields) == '{"orders":null}'


def test_a_related_row_must_be_named_too() -> None:
    order = Order(pk=1, customer=User(pk=2))
    with pytest.raises(PayloadError, match=r"order\.customer: .*customer_id"):
        encode({"order": order}, {"order": ["customer"]})


def test_an_unknown_attribute_gets_a_suggestion() -> None:
    with pytest.raises(PayloadError, match=r"order\.statsu: .* did you mean 'status'\?"):
        encode({"order": Order(pk=1)}, {"order": ["statsu"]})


@pytest.mark.django_db
def test_querysets_become_lists() -> None:
    Order.objects.create(status="new")
    payload = {"rows": Order.objects.values("status"), "orders": Order.objects.all()}
    assert json.loads(encode(payload, {"orders": ["status"]})) == {
        "rows": [{"status": "new"}],
        "orders": [{"status": "new"}],
    }
    with pytest.raises(PayloadError, match=r"orders\[0\]: declare Meta\.fields"):
        encode({"orders": Order.objects.all()})


def test_a_cycle_is_an_error_not_a_crash() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = {"again": [cycle]}
    with pytest.raises(PayloadError, match=r"self\.again\[0\]: refers back to itself"):
        encode(cycle)


def test_the_same_value_may_stand_in_two_places() -> None:
    shared = [1]
    assert encode({"a": shared, "b": shared}) == '{"a":[1],"b":[1]}'


def test_nesting_has_a_limit() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PayloadError, match="nested deeper than 100 levels"):
        encode({"a": deep})


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert json.loads(encode({"value": value})) == {"value": value}
