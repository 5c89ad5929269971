"""Sending again: from code and from the command line."""

from __future__ import annotations

import io
import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pusher
import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from broadcasting.applications import get_applications
from broadcasting.exceptions import QueueUnavailable
from broadcasting.models import WebhookDelivery
from broadcasting.webhooks import areplay, log, replay
from broadcasting.webhooks.bodies import Delivery, body_of, lane_of
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_log import Recorded

OLD = 1_000


@pytest.fixture
def failed(db: None, receiver: Receiver, configure: Any) -> WebhookDelivery:
    """A delivery that was given up, of an application whose endpoint is ``receiver``."""
    app: dict[str, Any] = {"id": "app", "key": "app-key", "secret": "app-secret"}
    configure(APPLICATIONS=[app | {"webhooks": [{"url": receiver.url}]}])
    return make_failed(receiver)


def make_failed(receiver: Receiver, **facts: Any) -> WebhookDelivery:
    (application,) = get_applications().all()
    values: dict[str, Any] = {
        "app_id": "app",
        "url": receiver.url,
        "lane": lane_of("app", application.webhooks[0]),
        "names": "client_event",
        "body": body_of(['{"name":"client_event","channel":"private-a","data":"<b>"}'], OLD),
        "created": time.time(),
    }
    delivery = Delivery(**values | facts)
    log.record(delivery, due=False, failed="No answer within 10 s")
    return WebhookDelivery.objects.get(uuid=delivery.id)


def assert_replayed(receiver: Receiver, row: WebhookDelivery) -> None:
    (request,) = receiver.requests
    assert request.id == str(row.uuid)
    assert request.content["time_ms"] > OLD
    assert request.events == [{"name": "client_event", "channel": "private-a", "data": "<b>"}]
    client = pusher.Pusher(app_id="1", key="app-key", secret="app-secret")
    signature = request.headers["x-pusher-signature"]
    assert client.validate_webhook("app-key", signature, request.body.decode())
    row.refresh_from_db()
    assert (row.status, row.attempts, row.last_status) == ("delivered", 1, 200)
    assert json.loads(row.body) == request.content


class TestFunction:
    def test_it_is_sent_with_a_new_time(self, failed: WebhookDelivery, receiver: Receiver) -> None:
        assert replay(failed).status == "delivered"
        assert_replayed(receiver, failed)

    @pytest.mark.django_db(transaction=True)
    async def test_async_code_has_the_same(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        assert (await areplay(failed.uuid)).status == "delivered"
        assert receiver.requests[0].id == str(failed.uuid)

    def test_what_fails_again_says_why(self, failed: WebhookDelivery, receiver: Receiver) -> None:
        receiver.answer = lambda number, path, _: 503
        row = replay(str(failed.uuid))
        assert (row.status, row.last_status, row.last_error) == (
            "failed",
            503,
            "Answered with 503",
        )

    def test_an_endpoint_that_was_taken_out_gets_nothing(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        row = replay(make_failed(receiver, lane="gone", url="http://gone.example/"))
        assert row.status == "failed"
        assert "no such endpoint" in row.last_error

    @pytest.mark.django_db(transaction=True)
    def test_with_a_queue_a_worker_does_it(
        self, failed: WebhookDelivery, receiver: Receiver, configure: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_log.Recorded"})
        Recorded.pushed = []
        assert replay(failed).status == "pending"
        assert [payload["lane"] for _, payload, _ in Recorded.pushed] == [failed.lane]
        assert log.take(failed.lane, 5) == failed

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_worker_hears_of_it_after_the_commit(
        self, failed: WebhookDelivery, configure: Any, is_async: bool
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_log.Recorded"})
        Recorded.pushed = []
        with transaction.atomic():
            (async_to_sync(areplay) if is_async else replay)(failed)
            assert Recorded.pushed == []
        assert [payload["lane"] for _, payload, _ in Recorded.pushed] == [failed.lane]

    @pytest.mark.django_db(transaction=True)
    def test_a_queue_that_is_away_at_the_commit_is_logged(
        self, failed: WebhookDelivery, configure: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_replays.Away"})
        with transaction.atomic():
            replay(failed)
        assert "was not told of webhook" in caplog.text
        assert log.take(failed.lane, 5) == failed

    @pytest.mark.parametrize("leased", [False, True])
    def test_one_that_is_on_its_way_is_left_alone(
        self, failed: WebhookDelivery, receiver: Receiver, configure: Any, leased: bool
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_log.Recorded"})
        Recorded.pushed = []
        waiting = Delivery(
            app_id="app", url=receiver.url, lane="x", names="x", body="{}", created=time.time()
        )
        log.record(waiting, due=True)
        if leased:
            assert log.take("x", 60)
        before = WebhookDelivery.objects.get(uuid=waiting.id)
        after = replay(waiting.id)
        assert (after.body, after.due_at) == ("{}", before.due_at)
        assert Recorded.pushed == []

    def test_one_that_nobody_is_at_any_more_is_sent(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        """It waited for workers, and there are none since."""
        then = timezone.now() - timedelta(days=1)
        WebhookDelivery.objects.update(status="pending", due_at=then, retry_until=then)
        assert replay(failed).status == "delivered"

    def test_what_another_changes_meanwhile_is_left_alone(
        self, failed: WebhookDelivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def renewed(body: str, time_ms: int) -> str:
            WebhookDelivery.objects.update(status="pending", updated_at=timezone.now())
            return body

        monkeypatch.setattr("broadcasting.webhooks.replays.renewed", renewed)
        replay(failed)
        assert not receiver.requests

    def test_what_is_not_there_cannot_be_sent(self, failed: WebhookDelivery) -> None:
        with pytest.raises(WebhookDelivery.DoesNotExist):
            replay(uuid4())


class TestCommand:
    def call(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("webhook_replay", *arguments, stdout=out)
        return out.getvalue()

    def test_by_id(self, failed: WebhookDelivery, receiver: Receiver) -> None:
        said = self.call(str(failed.uuid))
        assert said == f"{failed.uuid} delivered\n1 sent again.\n"
        assert_replayed(receiver, failed)

    def test_by_what_failed_where_and_when(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        old = make_failed(receiver)
        WebhookDelivery.objects.filter(pk=old.pk).update(
            created_at=timezone.now() - timedelta(days=2)
        )
        assert "0 sent" in self.call("--failed", "--app", "second")
        assert "0 sent" in self.call("--failed", "--since", "2999-01-01T00:00")
        assert "1 sent" in self.call("--failed", "--since", "1 day")
        assert "1 sent" in self.call("--failed", "--app", "app")

    def test_without_time_zones_times_are_naive(
        self, failed: WebhookDelivery, receiver: Receiver, settings: Any
    ) -> None:
        settings.USE_TZ = False
        assert "0 sent" in self.call("--failed", "--since", "2999-01-01T00:00")
        assert "0 sent" in self.call("--failed", "--since", "2999-01-01T00:00+02:00")
        assert "1 sent" in self.call("--failed", "--since", "2000-01-01T00:00")

    def test_what_does_not_arrive_is_an_error(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        receiver.answer = lambda number, path, _: 500
        with pytest.raises(CommandError, match="1 of 1 did not arrive"):
            self.call("--failed")

    def test_one_that_is_on_its_way_is_left_alone(
        self, failed: WebhookDelivery, receiver: Receiver
    ) -> None:
        WebhookDelivery.objects.update(status="pending", retry_until=timezone.now())
        said = self.call(str(failed.uuid))
        assert said == f"{failed.uuid} is still on its way, and left alone\n0 sent again.\n"
        assert not receiver.requests

    @pytest.mark.parametrize(
        "arguments", [[], ["--app", "app"], [str(uuid4())], ["x"], ["--failed", "--since", "soon"]]
    )
    def test_mistakes_are_said(self, db: None, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            self.call(*arguments)


class Away(Recorded):
    """A queue that takes nothing."""

    def push(self, *args: Any) -> None:
        raise QueueUnavailable("the broker is away")
