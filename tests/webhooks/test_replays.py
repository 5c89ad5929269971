"""Sending again: from code, from the command line and from the admin."""

from __future__ import annotations

import io
import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pusher
import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from broadcasting.applications import get_applications
from broadcasting.exceptions import QueueUnavailable
from broadcasting.models import WebhookDelivery
from broadcasting.webhooks import areplay, log, replay
from broadcasting.webhooks.bodies import Delivery, body_of, lane_of
from broadcasting.webhooks.replays import thread
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_log import Recorded

URL = "/admin/broadcasting/webhookdelivery/"
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

    def test_with_a_queue_a_worker_does_it(
        self, failed: WebhookDelivery, receiver: Receiver, configure: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_log.Recorded"})
        Recorded.pushed = []
        assert replay(failed).status == "pending"
        assert [payload["lane"] for _, payload, _ in Recorded.pushed] == [failed.lane]
        assert log.take(failed.lane, 5) == failed

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

    @pytest.mark.parametrize(
        "arguments", [[], ["--app", "app"], [str(uuid4())], ["x"], ["--failed", "--since", "soon"]]
    )
    def test_mistakes_are_said(self, db: None, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            self.call(*arguments)


@pytest.mark.urls("tests.webhooks.urls")
class TestAdmin:
    def look(self, client: Client, *permissions: str) -> Client:
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    def test_it_shows_and_changes_nothing(
        self, failed: WebhookDelivery, admin_client: Client
    ) -> None:
        listed = admin_client.get(f"{URL}?q={failed.uuid}").content.decode()
        assert "client_event" in listed
        page = admin_client.get(f"{URL}{failed.pk}/change/").content.decode()
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert str(failed.uuid) in page
        assert admin_client.get(f"{URL}add/").status_code == 403
        assert admin_client.post(f"{URL}{failed.pk}/delete/").status_code == 403
        assert admin_client.post(f"{URL}{failed.pk}/change/", {"app_id": "x"}).status_code == 403

    def test_replay_is_an_action(
        self, failed: WebhookDelivery, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Its thread would not see what this test's transaction holds.
        done: list[Any] = []
        monkeypatch.setattr(thread, "submit", done.append)
        data = {"action": "replay", "_selected_action": [failed.pk]}
        answer = admin_client.post(URL, data, follow=True)
        assert "1 delivery is sent again." in answer.content.decode()
        assert len(done) == 1

    def test_it_needs_more_than_to_look(self, failed: WebhookDelivery, client: Client) -> None:
        page = self.look(client, "view_webhookdelivery").get(URL).content.decode()
        assert "client_event" in page
        assert "Replay" not in page

    def test_who_may_change_may_replay(self, failed: WebhookDelivery, client: Client) -> None:
        self.look(client, "view_webhookdelivery", "change_webhookdelivery")
        assert "Replay" in client.get(URL).content.decode()

    def test_a_queue_that_is_away_is_said(
        self, failed: WebhookDelivery, admin_client: Client, configure: Any, tmp_path: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_replays.Away"})
        data = {"action": "replay", "_selected_action": [failed.pk]}
        answer = admin_client.post(URL, data, follow=True).content.decode()
        import re

        print(re.findall(r"<ul class=.messagelist.*?</ul>", answer, re.S))
        assert "The broker is away" in answer
        assert "0 deliveries are sent again." in answer


class Away(Recorded):
    """A queue that takes nothing."""

    def push(self, *args: Any) -> None:
        raise QueueUnavailable("the broker is away")
