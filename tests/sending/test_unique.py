"""Events of which one may wait at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import transaction

from broadcasting import ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching.locks import acquire
from broadcasting.exceptions import PublishError
from broadcasting.queues import left_to_do, run
from broadcasting.signals import broadcast_skipped
from tests.conftest import Valkey
from tests.sending.kept import KeptQueue, work
from tests.sending.test_workers import Broken, hearing
from tests.testapp.models import Order


class Once(ShouldBroadcast):
    number: int = 0

    class Meta:
        unique = True

    def broadcast_on(self) -> str:
        return "news"

    def unique_id(self) -> int:
        return self.number


class Begun(Once):
    class Meta:
        unique = "until_processing"


class Brief(Once):
    class Meta:
        unique_for = 0.01


class Row(ShouldBroadcast):
    order: Order

    class Meta:
        fields = {"order": ["id"]}  # noqa: RUF012
        render = "worker"
        unique = True

    def broadcast_on(self) -> Order:
        return self.order


@pytest.fixture(autouse=True)
def _queue(configure: Any, outbox: list[Broadcast]) -> Iterator[None]:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        DEFAULT_BROADCASTER="locmem",
        BROADCASTERS={
            "locmem": {"BACKEND": "locmem"},
            "broken": {"BACKEND": "tests.sending.test_workers.Broken"},
        },
    )
    yield
    cache.clear()
    KeptQueue.jobs.clear()
    Broken.attempts.clear()
    Broken.refusals = 0


def test_a_second_one_is_dropped_and_told(outbox: list[Broadcast]) -> None:
    """App 10: second dropped, different ids independent."""
    with hearing(broadcast_skipped) as told:
        for number in (1, 1, 2):
            Once(number).dispatch()
    assert len(KeptQueue.jobs) == 2
    assert [facts["reason"] for facts in told] == ["unique: one like it is waiting"]
    assert work() == []
    assert len(outbox) == 2


def test_once_it_was_sent_the_next_may_wait(outbox: list[Broadcast]) -> None:
    """App 10: released after success."""
    Once(1).dispatch()
    work()
    Once(1).dispatch()
    work()
    assert len(outbox) == 2


def test_while_it_will_be_tried_again_it_is_still_the_one() -> None:
    """App 10: kept during retries."""
    Broken.refusals = 1
    Once(1).via("broken").dispatch()
    job, payload, _ = KeptQueue.jobs.pop()
    with pytest.raises(PublishError):
        run(job, payload)
    Once(1).via("broken").dispatch()
    assert KeptQueue.jobs == []
    run(job, payload)
    Once(1).via("broken").dispatch()
    assert len(KeptQueue.jobs) == 1


class InWorker(Once):
    class Meta:
        render = "worker"


@pytest.mark.parametrize("event", [Once, InWorker])
def test_it_is_the_one_until_its_last_broadcaster_has_it(
    outbox: list[Broadcast], event: type[Once]
) -> None:
    """App 10: one lock for all of its broadcasters, kept during retries."""
    Broken.refusals = 1
    event(1).via("locmem", "broken").dispatch()
    assert len(KeptQueue.jobs) == 1
    job, payload, _ = KeptQueue.jobs.pop()
    with pytest.raises(PublishError) as raised:
        run(job, payload)
    assert len(outbox) == 1
    event(1).via("locmem", "broken").dispatch()
    assert KeptQueue.jobs == []
    left = left_to_do(job, payload, raised.value)
    assert left is not None
    run(*left)
    assert (len(outbox), len(Broken.attempts)) == (1, 2)
    event(1).via("locmem", "broken").dispatch()
    assert len(KeptQueue.jobs) == 1


def test_a_failure_for_good_gives_the_lock_back() -> None:
    """App 10: released after the final failure."""
    Broken.refusals = 9
    Once(1).via("broken").dispatch()
    assert len(work()) == 1
    Once(1).via("broken").dispatch()
    assert len(KeptQueue.jobs) == 1


def test_a_queue_that_does_not_take_it_gives_the_lock_back(monkeypatch) -> None:
    """App 10: released when it cannot be pushed."""

    def refuse(*args: Any) -> None:
        raise PublishError("full")

    with monkeypatch.context() as patched:
        patched.setattr(KeptQueue, "push", refuse)
        with pytest.raises(PublishError):
            Once(1).dispatch()
    Once(1).dispatch()
    assert len(KeptQueue.jobs) == 1


@pytest.mark.django_db(transaction=True)
def test_one_that_is_rolled_back_never_had_it() -> None:
    """App 10: nothing is held by what was rolled back."""
    with transaction.atomic():
        Once(1).dispatch()
        transaction.set_rollback(True)
    Once(1).dispatch()
    assert len(KeptQueue.jobs) == 1


@pytest.mark.django_db(transaction=True)
def test_one_whose_row_is_gone_gives_it_back() -> None:
    """App 6: the lock of an event whose row is missing is released."""
    for _ in range(2):
        Row(Order.objects.create()).dispatch()
        Order.objects.all().delete()
        assert len(KeptQueue.jobs) == 1
        assert work() == []


def test_a_lock_ends_by_itself() -> None:
    """App 10: expiry."""
    Brief(1).dispatch()
    while len(KeptQueue.jobs) < 2:
        Brief(1).dispatch()


class Late(Once):
    class Meta:
        expires = 0.01


def test_the_lock_of_a_job_that_has_expired_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """App 10: what a queue dropped is in nobody's way."""
    monkeypatch.setattr("broadcasting.dispatching.pushing.AT_WORK", 0)
    Late(1).dispatch()
    while len(KeptQueue.jobs) < 2:
        Late(1).dispatch()


def test_one_that_has_begun_may_be_followed(monkeypatch) -> None:
    Begun(1).dispatch()
    sent = Broken.broadcast
    Broken.refusals = 0

    def dispatch_another(self: Broken, broadcast: Broadcast) -> None:
        sent(self, broadcast)
        if len(Broken.attempts) == 1:
            Begun(1).via("broken").dispatch()

    KeptQueue.jobs.clear()
    cache.clear()
    monkeypatch.setattr(Broken, "broadcast", dispatch_another)
    Begun(1).via("broken").dispatch()
    work()
    assert len(Broken.attempts) == 2


def test_a_worker_that_comes_too_late_leaves_the_next_ones_lock_alone() -> None:
    Once(1).dispatch()
    job, payload, _ = KeptQueue.jobs.pop()
    cache.clear()  # as if it had run out
    Once(1).dispatch()
    run(job, payload)
    Once(1).dispatch()
    assert len(KeptQueue.jobs) == 1


def test_in_its_last_second_a_lock_is_left_to_end() -> None:
    """Between looking at it and deleting it, it could become somebody else's."""
    lock = acquire("default", "tests.Event", "1", "default", 0.9)
    assert lock is not None
    lock.release()
    assert cache.get(lock.key) == lock.token


def test_on_redis_looking_and_deleting_is_one_step(valkey: Valkey, settings: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "shared": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": valkey.url,
        },
    }
    shared = caches["shared"]
    lock = acquire("shared", "tests.Event", "1", "default", 60)
    assert lock is not None
    assert acquire("shared", "tests.Event", "1", "default", 60) is None
    shared.set(lock.key, "somebody else's", 60)
    lock.release()
    assert shared.get(lock.key) == "somebody else's"
    shared.set(lock.key, lock.token, 60)
    client = valkey.server.client()
    client.config_resetstat()
    lock.release()
    assert client.info("commandstats")["cmdstat_eval"]["calls"] == 1
    assert shared.get(lock.key) is None


async def test_so_it_is_in_async_code() -> None:
    await Once(1).adispatch()
    await Once(1).adispatch()
    assert len(KeptQueue.jobs) == 1


def test_now_is_not_asked(outbox: list[Broadcast]) -> None:
    Once(1).dispatch()
    Once(1).now().dispatch()
    assert len(outbox) == 1
