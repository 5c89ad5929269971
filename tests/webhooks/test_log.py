"""The delivery log, and how workers find their work in it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from broadcasting.exceptions import DeliveryPostponed
from broadcasting.models import WebhookDelivery
from broadcasting.queues import JobOptions
from broadcasting.queues.sync import SyncQueue
from broadcasting.webhooks import log
from broadcasting.webhooks.bodies import Delivery, Outcome, body_of

pytestmark = pytest.mark.django_db

Status = WebhookDelivery.Status
SECOND = timedelta(seconds=1)


def delivery(lane: str = "lane", **facts: Any) -> Delivery:
    values: dict[str, Any] = {"app_id": "app", "url": "http://x.example/", "names": "cache_miss"}
    values |= {"body": body_of(['{"name":"cache_miss","channel":"cache-a"}'], 1)}
    return Delivery(lane=lane, **{"created": time.time()} | values | facts)


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

    def test_a_clock_that_is_ahead_of_the_workers_loses_nothing(self) -> None:
        one = delivery(created=time.time() + 30)
        log.record(one, due=True)
        taken = log.take("lane", 5)
        assert taken is not None
        assert str(taken.uuid) == one.id

    def test_one_that_is_due_in_a_moment_is_waited_for(self) -> None:
        row = recorded()
        log.take("lane", 5)
        log.postpone(row, 1)
        with pytest.raises(DeliveryPostponed) as raised:
            log.take("lane", 5)
        assert raised.value.retry_in is not None
        assert 0 < raised.value.retry_in <= 1

    def test_what_nobody_came_for_is_seen_at_the_head_of_its_line_only(self) -> None:
        row = recorded()
        recorded()
        recorded("fresh")
        change(row, updated_at=timezone.now() - 20 * SECOND)
        assert log.stuck(10) == [("lane", "app")]
        assert log.stuck(30) == []
        log.take("lane", 5)
        assert log.stuck(10) == []

    def test_what_a_server_sends_itself_is_no_workers_business(self) -> None:
        recorded(due=False)
        assert log.take("lane", 5) is None
        assert log.stuck(0) == []


@pytest.mark.django_db(databases=["default", "other"])
def test_a_replica_that_lags_behind_is_not_asked(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.Replica"]
    one = delivery()
    log.record(one, due=True)
    taken = log.take("lane", 5)
    assert taken is not None
    assert str(taken.uuid) == one.id
    WebhookDelivery.objects.using("default").update(
        due_at=timezone.now() - 20 * SECOND, updated_at=timezone.now() - 20 * SECOND
    )
    assert log.stuck(10) == [("lane", "app")]


class Replica:
    """A router that reads elsewhere than it writes."""

    def db_for_read(self, model: object, **hints: object) -> str:
        return "other"

    def db_for_write(self, model: object, **hints: object) -> str:
        return "default"


class TestUpkeep:
    def test_a_failure_of_it_is_none_of_the_new_row(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def denied() -> None:
            raise OperationalError("permission denied")

        monkeypatch.setattr(log, "_since_removal", 0)
        monkeypatch.setattr(log, "remove_old", denied)
        assert status(recorded()) == "pending"
        recorded()
        assert caplog.text.count("could not be removed") == 1

    @pytest.mark.django_db(transaction=True)
    def test_what_is_kept_already_is_kept(self) -> None:
        one = delivery()
        log.record(one, due=True)
        log.record(one, due=True)
        assert WebhookDelivery.objects.count() == 1

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
