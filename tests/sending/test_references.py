from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import uuid
from collections import namedtuple
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pydantic
import pytest
from django.utils.translation import gettext_lazy

from broadcasting import BroadcastNotification, ShouldBroadcast
from broadcasting.exceptions import MissingModel, PayloadError
from broadcasting.notifications import BroadcastNotificationCreated
from broadcasting.references import pack, unpack
from tests.blog.models import Page
from tests.testapp.events import OrderShipped
from tests.testapp.models import Order


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


@dataclasses.dataclass(frozen=True)
class Line:
    order: Order
    count: int


class Point(msgspec.Struct):
    x: int


class Place(NamedTuple):
    row: int
    seat: str


class Doubled(NamedTuple("Doubled", [("once", int), ("twice", int)])):
    def __new__(cls, once: int) -> Doubled:
        return super().__new__(cls, once, 2 * once)


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date


class Everything(ShouldBroadcast):
    value: Any
    _hidden: int = 7

    def broadcast_on(self) -> str:
        return "news"


class Written(ShouldBroadcast):
    def __init__(self, n: int) -> None:
        self.twice = 2 * n

    def broadcast_on(self) -> str:
        return "news"


class Remembering(ShouldBroadcast):
    n: int

    @functools.cached_property
    def helper(self) -> Local:
        return Local()

    def broadcast_on(self) -> str:
        return "news"


class Told(BroadcastNotification):
    def __init__(self, n: int) -> None:
        self.twice = 2 * n


class Frozen(msgspec.Struct, ShouldBroadcast):
    n: int

    def broadcast_on(self) -> str:
        return "news"


def travelled(event: ShouldBroadcast) -> Any:
    """Return what arrives elsewhere."""
    return unpack(json.loads(json.dumps(pack(event))))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 1.5, "text", [1, [2]], {"a": {"b": 1}}, (1, (2, 3)), {1, 2}, frozenset({1}),
        {1: "a", "$model": "b"}, {(1, 2): 3}, b"".decode(),
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 2),
        datetime.date(2026, 1, 2), datetime.time(1, 2, 3), datetime.timedelta(days=-1, seconds=5),
        decimal.Decimal("1.50"), uuid.UUID(int=5), Colour.RED, Size.SMALL, Point(3), Place(1, "a"),
        Person(name="Ada", born=datetime.date(1815, 12, 10)),
    ],
)  # fmt: skip
def test_what_is_no_row_keeps_its_value_and_its_type(value: Any) -> None:
    event = travelled(Everything(value, 9))
    assert event.value == value
    assert type(event.value) is type(value)
    assert event._hidden == 9


def test_a_named_tuple_is_made_as_copies_are() -> None:
    data = pack(Everything(Doubled(2)))
    event: Any = unpack(json.loads(json.dumps(data, sort_keys=True)))
    assert event.value == Doubled(2)
    assert type(event.value) is Doubled


def unfindable() -> Any:
    Made = namedtuple("Made", "row")
    return Made(1)


@pytest.mark.parametrize("value", [urlsplit("https://example.com/a"), unfindable()])
def test_a_named_tuple_that_no_worker_finds_is_a_tuple(value: Any) -> None:
    assert travelled(Everything(value)).value == tuple(value)


def test_lazy_text_is_settled(settings: Any) -> None:
    assert travelled(Everything(gettext_lazy("yes"))).value == "yes"


def test_any_kind_of_event_travels() -> None:
    assert travelled(Written(4)).twice == 8
    assert travelled(Frozen(n=4)) == Frozen(n=4)
    told = travelled(BroadcastNotificationCreated(None, Told(4), "1"))
    assert told.notification.twice == 8


@pytest.mark.django_db
class TestRows:
    def test_a_row_is_fetched_anew(self) -> None:
        """App 6: fresh values."""
        order = Order.objects.create(status="new")
        data = pack(OrderShipped(order))
        Order.objects.update(status="shipped")
        event: Any = unpack(data)
        assert event.order == order
        assert event.order.status == "shipped"
        assert "new" not in json.dumps(data)

    def test_named_values_are_tuples(self) -> None:
        order = Order.objects.create(status="new")
        rows = Order.objects.values_list("pk", "status", named=True)
        assert travelled(Everything(rows)).value == [(order.pk, "new")]
        assert travelled(Everything(rows.get())).value == (order.pk, "new")

    def test_a_row_that_is_gone_is_told(self) -> None:
        """App 6: a missing row."""
        order = Order.objects.create()
        data = pack(OrderShipped(order))
        order.delete()
        with pytest.raises(MissingModel, match=r"testapp\.Order \d+ is gone"):
            unpack(data)

    def test_lists_keep_their_order_and_lose_what_is_gone(self, django_assert_num_queries) -> None:
        """App 6: list order and missing members."""
        orders = [Order.objects.create() for _ in range(4)]
        data = pack(Everything(orders[::-1]))
        Order.objects.filter(pk=orders[1].pk).delete()
        with django_assert_num_queries(1):
            event: Any = unpack(data)
        assert event.value == [orders[3], orders[2], orders[0]]

    def test_a_queryset_is_the_rows_that_it_had(self) -> None:
        orders = [Order.objects.create() for _ in range(2)]
        event = travelled(Everything(Order.objects.order_by("-pk")))
        assert event.value == orders[::-1]
        assert travelled(Everything(Order.objects.none())).value == []
        assert travelled(Everything(Order.objects.values_list("status"))).value == [("new",)] * 2

    def test_rows_are_found_anywhere(self) -> None:
        order = Order.objects.create()
        value = {"lines": [Line(order, 2)], "by": {"pk": (order,)}}
        assert travelled(Everything(value)).value == {
            "lines": [Line(order, 2)],
            "by": {"pk": [order]},
        }

    @pytest.mark.django_db(databases=["default", "other"])
    def test_a_row_is_looked_for_where_it_came_from(self) -> None:
        """App 6: another database's alias."""
        here = Order.objects.create(status="here")
        there = Order.objects.using("other").create(pk=here.pk, status="there")
        assert travelled(OrderShipped(there)).order.status == "there"
        assert travelled(OrderShipped(here)).order.status == "here"

    def test_a_row_that_its_manager_hides_is_found(self) -> None:
        """App 6: softly deleted."""
        page = Page.objects.create(title="news")
        page.delete()
        assert not Page.objects.filter(pk=page.pk).exists()
        assert travelled(Everything(page)).value == page

    def test_one_that_is_not_saved_cannot_travel(self) -> None:
        with pytest.raises(PayloadError, match=r"^event\.order: .*not saved"):
            pack(OrderShipped(Order()))


class Local:
    """Something that JSON has no word for."""


def test_what_cannot_travel_is_refused_with_its_place() -> None:
    with pytest.raises(PayloadError, match=r"^event\.value\.a\[1\]: a Local cannot travel"):
        pack(Everything({"a": [1, Local()]}))


def test_what_a_property_once_returned_stays_here() -> None:
    event = Remembering(4)
    assert event.helper is event.helper
    assert travelled(event).n == 4


def test_a_class_that_nobody_would_find_is_refused() -> None:
    class Inner(ShouldBroadcast):
        def broadcast_on(self) -> str:
            return "news"

    with pytest.raises(PayloadError, match="made in a function"):
        pack(Inner())


@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "tests.testapp.models:Order", "tests.testapp.gone:E",
     "tests.testapp.events:Nothing", "", 3],
)  # fmt: skip
def test_only_events_of_the_site_are_made(name: Any) -> None:
    """A queue that somebody else can write to must not choose what is imported."""
    with pytest.raises(PayloadError):
        unpack({"class": name, "attributes": {}})


@pytest.mark.parametrize(
    "value",
    [
        {"$model": "no.Such", "pk": 1, "db": "default"},
        {"$what": 1},
        {"$model": "testapp.Order", "pk": 1, "db": "nowhere"},
        {"$date": "x"},
        {"$decimal": "x"},
        {"$object": "os:stat_result", "values": {}},
        {"$object": "tests.sending.test_references:Local", "values": {}},
    ],
)
def test_data_that_pack_did_not_make_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError):
        unpack({"class": "tests.testapp.events:Ticked", "attributes": {"number": value}})
