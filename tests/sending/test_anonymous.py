from __future__ import annotations

from enum import Enum

import pytest
from django.db import transaction

import broadcasting
from broadcasting import PresenceChannel, PrivateChannel
from broadcasting.exceptions import InvalidChannelName, InvalidEventName, PayloadError
from broadcasting.middleware import SocketIdMiddleware
from broadcasting.testing import FakeBroadcasts
from tests.testapp.models import Order


class Names(Enum):
    PLACED = "order.placed"


def test_a_broadcast_without_a_class(broadcasts: FakeBroadcasts) -> None:
    """App 18: channel, name and payload are said where it is sent."""
    broadcasting.on("orders.1").as_("OrderPlaced").with_(id=1).send()
    (record,) = broadcasts.sent
    assert record.name == "OrderPlaced"
    assert [str(channel) for channel in record.channels] == ["orders.1"]
    assert record.data == '{"id":1}'
    assert record.event is None


def test_one_that_says_nothing_has_a_name_and_an_empty_payload(broadcasts: FakeBroadcasts) -> None:
    """App 18: the default name."""
    broadcasting.private("orders.1").send()
    (record,) = broadcasts.assert_broadcast("AnonymousEvent", on=PrivateChannel("orders.1"))
    assert record.data == "{}"


def test_several_channels_of_several_kinds(broadcasts: FakeBroadcasts) -> None:
    """App 18: several channels, each once."""
    order = Order(pk=3)
    broadcasting.on("news", PresenceChannel("chat.1"), order, "news").as_("Said").send()
    (record,) = broadcasts.sent
    names = [str(channel) for channel in record.channels]
    assert names == ["news", "presence-chat.1", "private-testapp.Order.3"]


@pytest.mark.parametrize(
    ("begin", "wire"),
    [(broadcasting.private, "private-a.1"), (broadcasting.presence, "presence-a.1")],
)
def test_the_short_ways_to_a_guarded_channel(broadcasts, begin, wire) -> None:
    begin("a.1").as_(Names.PLACED).with_({"n": 1}, m=2).send()
    broadcasts.assert_payload("order.placed", {"n": 1, "m": 2}, on=wire)


def test_a_model_names_its_channel(broadcasts: FakeBroadcasts) -> None:
    broadcasting.presence(Order(pk=3)).send()
    broadcasts.assert_broadcast("AnonymousEvent", on=PresenceChannel("testapp.Order.3"))


def test_modifiers_leave_the_original_alone(broadcasts: FakeBroadcasts) -> None:
    first = broadcasting.on("news").as_("Said").with_(n=1)
    first.with_(n=2).on_queue("slow").via("log").send()
    first.send()
    assert [(r.data, r.queue, r.broadcaster) for r in broadcasts.sent] == [
        ('{"n":2}', "slow", "log"),
        ('{"n":1}', "broadcasts", "default"),
    ]


async def test_in_async_code(broadcasts: FakeBroadcasts) -> None:
    await broadcasting.on("news").as_("Said").asend()
    await broadcasting.on("news").as_("Said").asend_now()
    assert [record.queue for record in broadcasts.sent] == ["broadcasts", None]


def test_now_means_without_the_queue(broadcasts: FakeBroadcasts) -> None:
    broadcasting.on("news").send_now()
    assert broadcasts.sent[0].queue is None


def test_the_tab_that_asked_is_left_out(broadcasts: FakeBroadcasts, rf) -> None:
    def view(request):
        broadcasting.on("news").as_("Said").to_others().send()

    SocketIdMiddleware(view)(rf.post("/", headers={"X-Socket-ID": "12.34"}))
    broadcasts.assert_to_others("Said", socket="12.34")


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_commit(broadcasts: FakeBroadcasts) -> None:
    with transaction.atomic():
        broadcasting.on("news").as_("Said").send()
        assert broadcasts.sent == []
    broadcasts.assert_broadcast("Said", lambda record: record.payload == {})


def test_mistakes_are_told_where_they_are_made(broadcasts: FakeBroadcasts) -> None:
    with pytest.raises(InvalidChannelName):
        broadcasting.on("no spaces")
    with pytest.raises(TypeError, match="at least one channel"):
        broadcasting.on()
    with pytest.raises(TypeError, match="use on"):
        broadcasting.private(PrivateChannel("a"))
    with pytest.raises(TypeError, match="list"):
        broadcasting.on("news").with_([1], more=2)
    with pytest.raises(InvalidEventName):
        broadcasting.on("news").as_("pusher:ping").send()
    with pytest.raises(PayloadError, match=r"^order: "):
        broadcasting.on("news").with_(order=Order(pk=1)).send()
