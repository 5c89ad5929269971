"""Notifications over broadcast, as Echo's ``.notification()`` needs them."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from broadcasting import (
    BroadcastNotification,
    Channel,
    PresenceChannel,
    PrivateChannel,
    anotify,
    anotify_on,
    broadcast,
    notify,
    notify_on,
)
from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.job_middleware import EventJob, Middleware, Next
from broadcasting.middleware import SocketIdMiddleware
from broadcasting.testing import FakeBroadcasts, fake
from tests.sending.kept import KeptQueue, work
from tests.testapp.events import Ticked
from tests.testapp.models import Order

ECHO = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"


class OrderReady(BroadcastNotification):
    order: Order
    _internal: str = "hush"

    class Meta:
        fields = {"order": ["id"]}  # noqa: RUF012
        queue = "notices"


class Paid(BroadcastNotification):
    broadcast_type = "invoice.paid"
    amount: int = 0

    def to_broadcast(self, notifiable: Any) -> dict[str, Any]:
        return {"amount": self.amount, "for": str(notifiable), "type": "mine", "id": "mine"}


class Whole(Paid):
    def broadcast_with(self) -> dict[str, int]:
        return {"whole": 1}

    def broadcast_as(self) -> str:
        return "told"


class Elsewhere(Paid):
    def broadcast_on(self) -> Any:
        return PresenceChannel("office")


class Wrong(Paid):
    def to_broadcast(self, notifiable: Any) -> Any:
        return 5


class Rendered(Paid):
    class Meta:
        render = "worker"


class Minded(Paid):
    """It says itself where it waits, and what stands around its job."""

    heard: ClassVar[list[str]] = []

    def broadcast_queue(self) -> str:
        return f"notices-{self.amount}"

    def middleware(self) -> list[Middleware]:
        return [self._listen_in]

    def _listen_in(self, job: EventJob, next_: Next) -> None:
        self.heard.append(job.label)
        next_(job)


class Receiver:
    """Somebody who is no model."""

    pk = 9

    def __str__(self) -> str:
        return "Receiver"

    def receives_broadcast_notifications_on(self, notification: Any) -> list[str]:
        return ["team.1", "team.2"]


def user(pk: int = 1) -> User:
    return User(pk=pk, username=f"u{pk}")


def test_a_user_hears_of_it_on_the_users_own_channel(broadcasts: FakeBroadcasts) -> None:
    """App 20: event name, channel, id and type."""
    notify(user(), OrderReady(Order(pk=3)))
    (record,) = broadcasts.sent
    assert record.name == ECHO
    assert [str(channel) for channel in record.channels] == ["private-auth.User.1"]
    payload = record.payload
    assert str(UUID(payload.pop("id")))
    assert payload == {
        "order": {"id": 3},
        "type": "tests.sending.test_notifications.OrderReady",
    }
    assert record.queue == "notices"


def test_each_of_several_gets_one_of_its_own(broadcasts: FakeBroadcasts) -> None:
    notify([user(1), user(2)], Paid(5))
    first, second = broadcasts.sent
    assert first.payload["id"] != second.payload["id"]
    assert [first.payload["for"], second.payload["for"]] == ["u1", "u2"]


def test_id_and_type_win_over_what_is_said(broadcasts: FakeBroadcasts) -> None:
    """App 20: the merge, and a type of one's own."""
    notify(user(), Paid(5))
    payload = broadcasts.sent[0].payload
    assert payload["type"] == "invoice.paid"
    assert payload["id"] != "mine"


def test_a_whole_payload_is_left_alone(broadcasts: FakeBroadcasts) -> None:
    """App 20: nothing is merged into broadcast_with()."""
    notify(user(), Whole(5))
    (record,) = broadcasts.sent
    assert (record.name, record.payload) == ("told", {"whole": 1})


@pytest.mark.parametrize(
    ("told", "who", "wire"),
    [
        (Elsewhere(1), Receiver(), ["presence-office"]),
        (Paid(1), Receiver(), ["private-team.1", "private-team.2"]),
        (Paid(1), user(4), ["private-auth.User.4"]),
    ],
)
def test_where_it_goes_in_order_of_precedence(broadcasts, told, who, wire) -> None:
    """App 20: channel precedence."""
    notify(who, told)
    assert [str(channel) for channel in broadcasts.sent[0].channels] == wire


def test_without_anybody_whom_it_is_for(broadcasts: FakeBroadcasts) -> None:
    notify_on([Channel("status"), "private-x"], Paid(5))
    (record,) = broadcasts.assert_broadcast(Paid, lambda told: told.amount == 5)
    assert [str(channel) for channel in record.channels] == ["status", "private-x"]


async def test_in_async_code(broadcasts: FakeBroadcasts) -> None:
    await anotify(user(), Paid(5), now=True)
    await anotify_on(
        "status",
        Paid(6),
    )
    assert [record.queue for record in broadcasts.sent] == [None, "broadcasts"]


@pytest.mark.django_db(transaction=True)
async def test_async_code_may_give_a_queryset(broadcasts: FakeBroadcasts) -> None:
    users = [await User.objects.acreate(username=name) for name in ("ada", "bob")]
    await anotify(User.objects.order_by("pk"), Paid(5))
    told = [str(*record.channels) for record in broadcasts.sent]
    assert told == [f"private-auth.User.{one.pk}" for one in users]


def test_modifiers(broadcasts: FakeBroadcasts, rf: Any) -> None:
    def view(request: Any) -> None:
        notify(user(), Paid(5), to_others=True, via="log", queue="slow")

    SocketIdMiddleware(view)(rf.post("/", headers={"X-Socket-ID": "12.34"}))  # type: ignore[arg-type]
    (record,) = broadcasts.assert_to_others(Paid, socket="12.34")
    assert (record.broadcaster, record.queue) == ("log", "slow")


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_commit(broadcasts: FakeBroadcasts) -> None:
    with transaction.atomic():
        notify(user(), Paid(5))
        assert [pending.event for pending in broadcasts.pending] == [Paid(5)]
        transaction.set_rollback(True)
    broadcasts.assert_nothing_broadcast()


def test_a_fake_takes_only_those_that_it_was_told(outbox: list[Broadcast]) -> None:
    with fake(only=[Paid]) as broadcasts:
        notify(user(), Paid(5))
        Ticked(1).dispatch()
    broadcasts.assert_broadcast(Paid, on=PrivateChannel(user()), times=1)
    assert [sent.name for sent in outbox] == ["Ticked"]


@pytest.mark.django_db(transaction=True)
def test_a_worker_may_render_it(configure: Any, outbox: list[Broadcast]) -> None:
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"}, DEFAULT_BROADCASTER="locmem")
    ada = User.objects.create(username="ada")
    notify(ada, Rendered(7))
    assert [job for job, *_ in KeptQueue.jobs] == ["render"]
    assert work() == []
    assert '"amount":7,"for":"ada"' in outbox[0].data


@pytest.mark.django_db(transaction=True)
def test_its_hooks_of_the_queue_are_asked(configure: Any, outbox: list[Broadcast]) -> None:
    """App 20: queue and middleware."""
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"}, DEFAULT_BROADCASTER="locmem")
    Minded.heard.clear()
    notify(User.objects.create(username="ada"), Minded(7))
    assert [options.queue for *_, options in KeptQueue.jobs] == ["notices-7"]
    assert work() == []
    assert Minded.heard == ["tests.sending.test_notifications.Minded"]
    assert len(outbox) == 1


class Moved(BroadcastNotification):
    """The last of a burst for each order."""

    order: int

    class Meta:
        debounce = 60

    def coalesce_key(self) -> int:
        return self.order


class Once(BroadcastNotification):
    class Meta:
        unique = True


def test_bursts_are_told_apart_by_the_notification(broadcasts: FakeBroadcasts) -> None:
    for order in (1, 2, 2):
        notify(user(), Moved(order))
    broadcasts.flush()
    assert [record.payload["order"] for record in broadcasts.sent] == [1, 2]


def test_one_of_its_kind_waits_for_each_whom_it_is_for(
    configure: Any, outbox: list[Broadcast]
) -> None:
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"}, DEFAULT_BROADCASTER="locmem")
    for who in (user(1), user(1), Order(pk=1)):
        notify(who, Once())
    notify_on(["status"], Once())
    notify_on(["news"], Once())
    assert work() == []
    assert [sent.channels for sent in outbox] == [
        ("private-auth.User.1",),
        ("private-testapp.Order.1",),
        ("status",),
        ("news",),
    ]


def test_nobody_is_told_whose_name_is_spelled_out(broadcasts: FakeBroadcasts) -> None:
    for spelled in ("orders.1", ["orders.1"]):
        with pytest.raises(TypeError, match=r"notify_on\(\)"):
            notify(spelled, Paid(5))
    broadcasts.assert_nothing_broadcast()


def test_mistakes_are_told(broadcasts: FakeBroadcasts) -> None:
    with pytest.raises(TypeError, match="not a Ticked"):
        notify(user(), Ticked(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Wrong\.to_broadcast\(\) returned a int"):
        notify(user(), Wrong(1))


async def test_one_that_is_dispatched_as_an_event_says_how_it_is_sent(
    broadcasts: FakeBroadcasts,
) -> None:
    with pytest.raises(TypeError, match=r"Paid is a notification: .* notify\(user, Paid\("):
        Paid(5).dispatch()
    with pytest.raises(TypeError, match="is a notification"):
        await Paid(5).to_others().adispatch()
    with pytest.raises(TypeError, match="is a notification"):
        broadcast(Paid(5))


@pytest.mark.django_db
def test_a_failed_claim_tells_which_one_was_sent(broadcasts: FakeBroadcasts) -> None:
    notify(user(), Paid(5))
    with pytest.raises(AssertionError, match=r"Sent:\n  Paid on private-auth\.User\.\d"):
        broadcasts.assert_broadcast(OrderReady)
    with transaction.atomic():
        notify(user(), Paid(6))
        with pytest.raises(AssertionError, match=r"Paid \(via default"):
            broadcasts.assert_nothing_broadcast()


class Kept(BaseBroadcaster):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__({})
        self.sent: list[Broadcast] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        self.sent.append(broadcast)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.sent.append(broadcast)


async def test_one_goes_through_a_broadcaster_that_was_built(outbox: list[Broadcast]) -> None:
    theirs = Kept()
    notify(user(), OrderReady(Order(pk=3)), via=theirs)
    assert await asyncio.to_thread(flush, 5)
    await anotify(user(), Paid(6), via=["locmem", theirs])
    assert (len(theirs.sent), len(outbox)) == (2, 1)
