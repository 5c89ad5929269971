"""The delivery log, and how workers find their work in it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from broadcasting.applications import get_applications
from broadcasting.exceptions import DeliveryPostponed
from broadcasting.models import WebhookDelivery
from broadcasting.queues import JobOptions
from broadcasting.queues.sync import SyncQueue
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.bodies import Delivery, Outcome, body_of, lane_of
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db

Status = WebhookDelivery.Status
SECOND = timedelta(seconds=1)


def delivery(lane: str = "lane", **facts: Any) -> Delivery:
    values: dict[str, Any] = {"app_id": "app", "url": "http://x.example/", "names": "cache_miss"}
    values |= {"body": body_of(['{"name":"cache_miss","channel":"cache-a"}'], 1)}
    return Delivery(lane=lane, created=time.time(), **values | facts)


def recorded(lane: str = "lane", *, due: bool = True, **facts: Any) -> WebhookDelivery:
    one = delivery(lane, **facts)
    log.record(one, due=due)
    return WebhookDelivery.objects.get(uuid=one.id)


def change(row: WebhookDelivery, **values: Any) -> None:
    WebhookDelivery.objects.filter(pk=row.pk).update(**values)


def status(row: WebhookDelivery) -> str:
    return WebhookDelivery.objects.get(pk=row.pk).status


class TestLine:
    def test_the_first_is_taken_by_one_and_holds_the_others_back(self) -> None:
        first, second = recorded(), recorded()
        other = recorded("other")
        assert log.take("lane", 5) == first
        assert log.take("lane", 5) is None
        assert log.take("other", 5) == other
        log.note(first.uuid, Outcome(status=200))
        assert log.take("lane", 5) == second

    def test_a_lease_ends(self) -> None:
        row = recorded()
        assert log.take("lane", 0) == row
        assert log.take("lane", 5) == row

    def test_who_was_slower_to_take_it_gets_nothing(self, monkeypatch: Any) -> None:
        """Both saw it due; the other one wrote first."""
        row = recorded()
        stale = WebhookDelivery.objects.get(pk=row.pk)
        assert log.take("lane", 5) == row
        monkeypatch.setattr("django.db.models.query.QuerySet.first", lambda self: stale)
        assert log.take("lane", 5) is None

    def test_one_that_waits_for_its_next_attempt_is_not_due(self) -> None:
        row = recorded()
        log.take("lane", 5)
        log.note(row.uuid, Outcome(status=500, error="Answered with 500"))
        log.postpone(row, 60)
        assert log.take("lane", 5) is None
        log.postpone(row, 0)
        again = log.take("lane", 5)
        assert again is not None
        assert (again.attempts, again.last_status, again.last_error) == (
            1,
            500,
            "Answered with 500",
        )

    def test_what_nobody_came_for_is_seen_at_the_head_of_its_line_only(self) -> None:
        row = recorded()
        recorded()
        recorded("fresh")
        change(row, due_at=timezone.now() - 20 * SECOND)
        assert log.stuck(10) == [("lane", "app")]
        assert log.stuck(30) == []
        log.take("lane", 5)
        assert log.stuck(10) == []

    def test_what_a_server_sends_itself_is_no_workers_business(self) -> None:
        recorded(due=False)
        assert log.take("lane", 5) is None
        assert log.stuck(0) == []


class TestUpkeep:
    def test_old_rows_go_a_bounded_number_at_once(
        self, configure: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(WEBHOOKS={"LOG_DAYS": 2})
        rows = [recorded() for _ in range(4)]
        for row in rows[:3]:
            change(row, created_at=timezone.now() - timedelta(days=3))
        monkeypatch.setattr(log, "REMOVE_AT_ONCE", 2)
        assert [log.remove_old(), log.remove_old(), log.remove_old()] == [2, 1, 0]
        assert list(WebhookDelivery.objects.all()) == rows[3:]

    def test_they_go_while_new_ones_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log, "REMOVE_AFTER", 3)
        monkeypatch.setattr(log, "_since_removal", 1)
        old = recorded()
        change(old, created_at=timezone.now() - timedelta(days=30))
        recorded()
        assert status(old) == "pending"
        recorded()
        assert not WebhookDelivery.objects.filter(pk=old.pk).exists()

    def test_what_a_process_took_with_it_is_marked_as_failed(self) -> None:
        lost, kept, queued = recorded(due=False), recorded(due=False), recorded()
        for row in (lost, queued):
            change(row, retry_until=timezone.now() - 30 * SECOND)
        assert log.settle_lost(20) == 1
        assert [status(row) for row in (lost, kept, queued)] == ["failed", "pending", "pending"]
        assert WebhookDelivery.objects.get(pk=lost.pk).last_error == log.LOST

    def test_a_finished_row_is_not_finished_again(self) -> None:
        row = recorded()
        log.note(row.uuid, Outcome(status=200))
        log.note(row.uuid, Outcome(error="late"), given_up=True)
        assert status(row) == "delivered"


class Recorded(SyncQueue):
    """Notes what is pushed, as a queue whose workers are elsewhere."""

    leaves_process = True
    pushed: list[tuple[str, dict[str, Any], JobOptions]] = []  # noqa: RUF012

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.pushed.append((job, payload, options))


@pytest.fixture
def queue(configure: Any) -> type[Recorded]:
    configure(QUEUE={"BACKEND": f"{__name__}.Recorded"})
    Recorded.pushed = []
    return Recorded


@pytest.fixture
def lane(receiver: Receiver, configure: Any) -> str:
    """The line of an application's one endpoint, which is ``receiver``."""
    app = {"id": "app", "key": "app-key", "secret": "app-secret"}
    app["webhooks"] = [{"url": receiver.url, "headers": {"X-Token": "custom-secret"}}]  # type: ignore[assignment]
    configure(APPLICATIONS=[app], WEBHOOKS={"FIRST_RETRY": 7, "RETRY_SECONDS": 100})
    (application,) = get_applications().all()
    return lane_of("app", application.webhooks[0])


def run(lane: str) -> None:
    jobs.run({"v": 1, "lane": lane})


class TestJobs:
    def test_a_job_holds_no_secret_and_no_url(self, queue: type[Recorded], lane: str) -> None:
        jobs.enqueue(delivery(lane, url="http://x.example/secret"))
        ((name, payload, options),) = queue.pushed
        assert (name, payload) == ("broadcasting.webhook", {"v": 1, "lane": lane})
        assert options.expires == 100
        row = WebhookDelivery.objects.get()
        assert "custom-secret" not in str(vars(row))
        assert "app-secret" not in str(vars(row))

    def test_one_job_delivers_everything_that_waits(self, lane: str, receiver: Receiver) -> None:
        rows = [recorded(lane, url=receiver.url) for _ in range(3)]
        run(lane)
        assert [r.id for r in receiver.requests] == [str(row.uuid) for row in rows]
        assert {status(row) for row in rows} == {"delivered"}
        assert all(r.headers["x-token"] == "custom-secret" for r in receiver.requests)
        run(lane)
        assert len(receiver.requests) == 3

    def test_a_failure_asks_for_another_time(self, lane: str, receiver: Receiver) -> None:
        """207."""
        receiver.answer = lambda number, path, _: 500
        row = recorded(lane, url=receiver.url)
        recorded(lane, url=receiver.url)
        with pytest.raises(DeliveryPostponed) as raised:
            run(lane)
        assert raised.value.retry_in is not None
        assert 7 <= raised.value.retry_in < 8
        run(lane)
        assert len(receiver.requests) == 1
        assert WebhookDelivery.objects.get(pk=row.pk).last_status == 500

    def test_the_last_failure_gives_up_and_goes_on(self, lane: str, receiver: Receiver) -> None:
        """207."""
        receiver.answer = lambda number, path, _: 500 if number == 1 else 200
        rows = [recorded(lane, url=receiver.url) for _ in range(3)]
        for row in rows[:2]:
            change(row, retry_until=timezone.now())
        run(lane)
        assert [status(row) for row in rows] == ["failed", "failed", "delivered"]
        assert WebhookDelivery.objects.get(pk=rows[1].pk).last_error == jobs.TOO_LATE
        assert len(receiver.requests) == 2

    def test_an_endpoint_that_was_taken_out_is_given_up(
        self, lane: str, receiver: Receiver
    ) -> None:
        gone = recorded("gone", url="http://gone.example/")
        foreign = recorded("foreign", url=receiver.url, app_id="nobody")
        run("gone")
        run("foreign")
        assert {status(gone), status(foreign)} == {"failed"}
        assert not receiver.requests

    def test_one_job_makes_a_bounded_number_of_requests(
        self,
        lane: str,
        receiver: Receiver,
        queue: type[Recorded],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(jobs, "AT_ONCE", 2)
        for _ in range(3):
            recorded(lane, url=receiver.url)
        run(lane)
        assert len(receiver.requests) == 2
        assert [payload["lane"] for _, payload, _ in queue.pushed] == [lane]

    def test_a_lost_job_is_pushed_again(self, queue: type[Recorded]) -> None:
        row = recorded()
        jobs.sweep()
        assert queue.pushed == []
        change(row, due_at=timezone.now() - 60 * SECOND)
        jobs.sweep()
        assert [payload["lane"] for _, payload, _ in queue.pushed] == ["lane"]

    def test_a_database_that_is_away_is_tried_again(
        self, monkeypatch: pytest.MonkeyPatch, lane: str
    ) -> None:
        def away(*args: object) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr(log, "take", away)
        with pytest.raises(DeliveryPostponed):
            run(lane)

    def test_a_job_of_another_version_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        jobs.run({"v": 2, "lane": "x"})
        assert "version 2" in caplog.text
