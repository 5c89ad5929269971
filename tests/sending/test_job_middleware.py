"""What stands around the jobs of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import transaction

from broadcasting import ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BackplaneUnavailable, JobReleased, JobSkipped, MissingModel
from broadcasting.job_middleware import (
    EventJob,
    Middleware,
    Next,
    RateLimited,
    Skip,
    ThrottlesExceptions,
    WithoutOverlapping,
    through,
)
from broadcasting.queues import run
from broadcasting.signals import broadcast_failed, broadcast_skipped
from tests.sending.kept import KeptQueue, work
from tests.sending.test_workers import Broken, hearing
from tests.testapp.models import Order

JOB = EventJob(id="1", label="tests.Event", broadcaster="default")


class Wrapped(ShouldBroadcast):
    number: int = 0
    around: ClassVar[list[Middleware]] = []
    seen: ClassVar[list[Any]] = []

    def broadcast_on(self) -> str:
        return "news"

    def middleware(self) -> list[Middleware]:
        self.seen.append(self.number)
        return self.around


@pytest.fixture(autouse=True)
def _queue(configure: Any, outbox: list[Broadcast]) -> Iterator[None]:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        DEFAULT_BROADCASTER="locmem",
        BROADCASTERS={"locmem": {"BACKEND": "locmem"}},
    )
    yield
    cache.clear()
    KeptQueue.jobs.clear()
    Wrapped.around.clear()
    Wrapped.seen.clear()
    Broken.refusals = 0
    Broken.attempts.clear()


def passing(name: str) -> Middleware:
    def around(job: EventJob, next_: Next) -> None:
        Wrapped.seen.append(f"into {name}")
        next_(job)
        Wrapped.seen.append(f"out of {name}")

    return around


def test_the_first_one_is_outermost(outbox: list[Broadcast]) -> None:
    """App 11: middleware around the job, asked of the event in the worker."""
    Wrapped.around[:] = [passing("a"), passing("b")]
    Wrapped(7).dispatch()
    assert Wrapped.seen == []
    assert work() == []
    assert Wrapped.seen == [7, "into a", "into b", "out of b", "out of a"]
    assert len(outbox) == 1


class InWorker(Wrapped):
    class Meta:
        render = "worker"


@pytest.mark.parametrize("event", [Wrapped, InWorker])
@pytest.mark.parametrize("queue", ["tests.sending.kept.KeptQueue", "sync"])
def test_it_stands_around_an_event_once_however_many_broadcasters_it_has(
    outbox: list[Broadcast], configure: Any, event: type[Wrapped], queue: str
) -> None:
    """App 11: a rate counts events, not what each of their broadcasters gets."""
    configure(
        QUEUE={"BACKEND": queue},
        BROADCASTERS={"locmem": {"BACKEND": "locmem"}, "other": {"BACKEND": "locmem"}},
    )
    jobs: list[EventJob] = []

    def around(job: EventJob, next_: Next) -> None:
        jobs.append(job)
        next_(job)

    Wrapped.around[:] = [around]
    event(7).via("locmem", "other").dispatch()
    assert work() == []
    assert [job.broadcaster for job in jobs] == ["locmem, other"]
    assert [sent.broadcaster for sent in outbox] == ["locmem", "other"]
    assert {sent.id for sent in outbox} == {jobs[0].id}


@pytest.mark.parametrize("event", [Wrapped, InWorker])
def test_what_only_one_of_them_took_is_not_sent_there_again(
    outbox: list[Broadcast], configure: Any, event: type[Wrapped]
) -> None:
    configure(
        BROADCASTERS={
            "locmem": {"BACKEND": "locmem"},
            "broken": {"BACKEND": "tests.sending.test_workers.Broken"},
        }
    )
    Broken.refusals = 1
    Wrapped.around[:] = [passing("a")]
    event(7).via("locmem", "broken").dispatch()
    assert work() == []
    assert (len(outbox), len(Broken.attempts)) == (1, 2)
    # Around each attempt, as it must be: it may want to put off the next one.
    assert Wrapped.seen.count("into a") == 2


class AboutRow(ShouldBroadcast):
    order: Order

    class Meta:
        fields = {"order": ["id"]}  # noqa: RUF012

    def broadcast_on(self) -> str:
        return "news"

    def middleware(self) -> list[Middleware]:
        return [passing("a")]


class Insisting(AboutRow):
    class Meta:
        render = "worker"
        missing = "fail"


@pytest.mark.django_db(transaction=True)
def test_what_was_rendered_in_time_is_sent_though_its_row_is_gone(outbox: list[Broadcast]) -> None:
    order = Order.objects.create()
    with transaction.atomic():
        AboutRow(order).dispatch()
        order.delete()
    assert work() == []
    assert len(outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_a_missing_row_is_a_failure_where_it_is_meant_to_be(outbox: list[Broadcast]) -> None:
    Insisting(Order.objects.create()).dispatch()
    Order.objects.all().delete()
    (error,) = work()
    assert isinstance(error, MissingModel)


def test_now_has_none(outbox: list[Broadcast]) -> None:
    """App 11: middleware is not run for what does not wait."""
    Wrapped(7).now().dispatch()
    assert Wrapped.seen == []
    assert len(outbox) == 1


async def test_without_a_worker_it_stands_around_all_the_same(
    configure: Any, outbox: list[Broadcast]
) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    Wrapped.around[:] = [passing("a")]
    await Wrapped(7).adispatch()
    await sync_to_async(Wrapped(8).dispatch)()
    assert Wrapped.seen == [7, "into a", "out of a", 8, "into a", "out of a"]
    assert len(outbox) == 2


def test_without_a_worker_nothing_can_be_put_back(configure: Any, outbox: list[Broadcast]) -> None:
    configure(QUEUE={"BACKEND": "sync"})
    Wrapped.around[:] = [RateLimited("key", "1/d")]
    Wrapped(7).dispatch()
    with hearing(broadcast_failed) as told, pytest.raises(JobReleased):
        Wrapped(8).dispatch()
    assert len(outbox) == len(told) == 1


def test_one_that_does_not_go_on_drops_the_job(outbox: list[Broadcast]) -> None:
    Wrapped.around[:] = [Skip.when(lambda: True)]
    Wrapped(7).dispatch()
    with hearing(broadcast_skipped) as told:
        assert work() == []
    assert outbox == []
    assert told[0]["reason"] == "skipped by its middleware"


def test_one_that_always_puts_back_fails_in_the_end(outbox: list[Broadcast]) -> None:
    def put_back(job: EventJob, next_: Next) -> None:
        job.release(3)

    Wrapped.around[:] = [put_back]
    Wrapped(7).dispatch()
    job, payload, _ = KeptQueue.jobs[0]
    with pytest.raises(JobReleased) as released:
        run(job, payload)
    assert released.value.retry_in == 3
    with hearing(broadcast_failed) as told:
        work()
    assert told[0]["broadcast"].event_label.endswith("Wrapped")
    assert outbox == []


def done(middleware: Middleware) -> bool:
    """Whether a job gets through just now."""
    reached: list[EventJob] = []
    try:
        middleware(JOB, reached.append)
    except (JobReleased, JobSkipped):
        return False
    return bool(reached)


def test_a_rate_is_kept() -> None:
    limited = RateLimited("key", "2/d")
    other = RateLimited("other", "2/d", release=False)
    assert [done(limited) for _ in range(3)] == [True, True, False]
    assert done(other)
    with pytest.raises(JobReleased) as released:
        limited(JOB, print)
    assert 0 < (released.value.retry_in or 0) <= 86400
    done(other)
    with pytest.raises(JobSkipped, match="rate limit of other"):
        other(JOB, print)


@pytest.mark.parametrize("rate", ["", "0/m", "10", "10/y", "m/10"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="10/m"):
        RateLimited("key", rate)


def test_jobs_do_not_overlap() -> None:
    one = WithoutOverlapping("key", wait=4)

    def work_inside(job: EventJob) -> None:
        with pytest.raises(JobReleased) as released:
            one(job, print)
        assert released.value.retry_in == 4
        assert done(WithoutOverlapping("other"))

    one(JOB, work_inside)
    assert done(one)


def test_after_some_exceptions_nobody_tries_for_a_while() -> None:
    throttled = ThrottlesExceptions("key", 2, 60)

    def fail(job: EventJob) -> None:
        raise BackplaneUnavailable("away")

    for _ in range(2):
        with pytest.raises(BackplaneUnavailable):
            throttled(JOB, fail)
    with pytest.raises(JobReleased) as released:
        throttled(JOB, fail)
    assert released.value.retry_in == 60
    assert done(ThrottlesExceptions("other", 2, 60))


def test_a_cache_that_keeps_nothing_holds_nothing_back(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

    def fail(job: EventJob) -> None:
        raise BackplaneUnavailable("away")

    for _ in range(3):
        assert done(RateLimited("key", "1/d"))
        assert done(WithoutOverlapping("key"))
        with pytest.raises(BackplaneUnavailable):
            ThrottlesExceptions("key", 1, 60)(JOB, fail)


async def waiting(job: EventJob, next_: Any) -> None:
    next_(job)


class Waiting:
    async def __call__(self, job: EventJob, next_: Any) -> None:
        next_(job)


@pytest.mark.parametrize("middleware", [waiting, Waiting()])
def test_one_that_nobody_would_await_is_refused(middleware: Any) -> None:
    with pytest.raises(TypeError, match=r"may not be async: .*\.[wW]aiting"):
        through([middleware], print)


def test_conditions() -> None:
    assert done(Skip.when(lambda: False))
    assert not done(Skip.unless(lambda: False))
