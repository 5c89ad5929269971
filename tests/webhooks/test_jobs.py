"""The job of the workers: what it does with a line, and what it leaves to the next one."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.utils import timezone

from broadcasting.applications import get_applications
from broadcasting.exceptions import DeliveryPostponed
from broadcasting.models import WebhookDelivery
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.bodies import lane_of
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_log import SECOND, Recorded, change, delivery, recorded, status

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(configure: Any) -> type[Recorded]:
    configure(QUEUE={"BACKEND": "tests.webhooks.test_log.Recorded"})
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

    def test_a_disabled_application_is_told_nothing(
        self, lane: str, receiver: Receiver, configure: Any
    ) -> None:
        row = recorded(lane, url=receiver.url)
        app = {"id": "app", "key": "app-key", "secret": "app-secret", "enabled": False}
        configure(APPLICATIONS=[app | {"webhooks": [{"url": receiver.url}]}])
        run(lane)
        assert WebhookDelivery.objects.get(pk=row.pk).last_error == jobs.DISABLED
        assert status(row) == "failed"
        assert not receiver.requests

    @pytest.mark.parametrize(("bound", "value", "requests"), [("AT_ONCE", 2, 2), ("SECONDS", 0, 1)])
    def test_one_job_is_bounded_in_requests_and_in_time(
        self,
        lane: str,
        receiver: Receiver,
        queue: type[Recorded],
        monkeypatch: pytest.MonkeyPatch,
        bound: str,
        value: int,
        requests: int,
    ) -> None:
        monkeypatch.setattr(jobs, bound, value)
        for _ in range(3):
            recorded(lane, url=receiver.url)
        run(lane)
        assert len(receiver.requests) == requests
        ((_, payload, options),) = queue.pushed
        assert payload["lane"] == lane
        assert options.label == "webhooks of app"
        assert options.queue is None

    def test_they_may_have_a_queue_of_their_own(
        self, queue: type[Recorded], configure: Any
    ) -> None:
        configure(WEBHOOKS={"QUEUE": "hooks"})
        jobs.push("lane", "app")
        assert [options.queue for _, _, options in queue.pushed] == ["hooks"]

    def test_a_lost_job_is_pushed_again(self, queue: type[Recorded]) -> None:
        row = recorded()
        jobs.sweep()
        assert queue.pushed == []
        change(row, updated_at=timezone.now() - 60 * SECOND)
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

    @pytest.mark.parametrize("error", [KeyError("tenant"), ImproperlyConfigured("no tenants")])
    def test_a_mistake_in_a_provider_is_not_called_a_database(
        self, monkeypatch: pytest.MonkeyPatch, lane: str, error: Exception
    ) -> None:
        def mistaken(*args: object) -> None:
            raise error

        recorded(lane)
        monkeypatch.setattr(jobs, "get_applications", mistaken)
        with pytest.raises(type(error)):
            run(lane)

    def test_a_job_of_another_version_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        jobs.run({"v": 2, "lane": "x"})
        assert "version 2" in caplog.text
