"""The delivery log in the admin: to look at, and to send again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcasting.models import WebhookDelivery
from broadcasting.webhooks.replays import thread
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_replays import OLD, failed, make_failed

__all__ = ["failed"]

URL = "/admin/broadcasting/webhookdelivery/"


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

    def test_what_is_masked_cannot_be_guessed_piece_by_piece(
        self, failed: WebhookDelivery, admin_client: Client
    ) -> None:
        WebhookDelivery.objects.update(url="https://chat.test/hooks/T0123456789abcdef")
        for asked in ("", f"{failed.pk}/change/"):
            page = admin_client.get(f"{URL}{asked}").content.decode()
            assert "chat.test/hooks/T012" in page
            assert "T01234" not in page
        assert str(failed.uuid) not in admin_client.get(f"{URL}?q=T01234").content.decode()
        assert admin_client.get(f"{URL}?url__contains=T01234").status_code == 400

    def test_a_list_reads_no_bodies(self, failed: WebhookDelivery, admin_client: Client) -> None:
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(URL)
        assert not [q["sql"] for q in queries if '"body"' in q["sql"]]

    def test_replay_is_an_action(
        self, failed: WebhookDelivery, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Its thread would not see what this test's transaction holds.
        done: list[Any] = []

        def submit(work: Any) -> bool:
            done.append(work)
            return True

        monkeypatch.setattr(thread, "submit", submit)
        data = {"action": "replay", "_selected_action": [failed.pk]}
        answer = admin_client.post(URL, data, follow=True)
        assert "1 delivery is sent again." in answer.content.decode()
        assert len(done) == 1

    def test_what_is_not_done_is_said(
        self,
        failed: WebhookDelivery,
        receiver: Receiver,
        admin_client: Client,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(thread, "submit", lambda work: False)
        waiting = make_failed(receiver)
        WebhookDelivery.objects.filter(pk=waiting.pk).update(status="pending")
        data = {"action": "replay", "_selected_action": [failed.pk, waiting.pk]}
        answer = admin_client.post(URL, data, follow=True).content.decode()
        assert "1 delivery is not sent again: too many wait already." in answer
        assert "1 delivery is still on its way, and left alone." in answer
        assert "0 deliveries are sent again." in answer

    def test_it_needs_more_than_to_look(self, failed: WebhookDelivery, client: Client) -> None:
        self.look(client, "view_webhookdelivery")
        page = client.get(URL).content.decode()
        assert "client_event" in page
        assert "Replay" not in page
        client.post(URL, {"action": "replay", "_selected_action": [failed.pk]})
        failed.refresh_from_db()
        assert json.loads(failed.body)["time_ms"] == OLD
        assert failed.status == "failed"

    def test_who_may_change_may_replay(self, failed: WebhookDelivery, client: Client) -> None:
        self.look(client, "view_webhookdelivery", "change_webhookdelivery")
        assert "Replay" in client.get(URL).content.decode()

    @pytest.mark.django_db(transaction=True)
    def test_a_queue_that_is_away_is_said(
        self, failed: WebhookDelivery, admin_client: Client, configure: Any
    ) -> None:
        configure(QUEUE={"BACKEND": "tests.webhooks.test_replays.Away"})
        data = {"action": "replay", "_selected_action": [failed.pk]}
        answer = admin_client.post(URL, data, follow=True).content.decode()
        assert "The broker is away" in answer
        assert "0 deliveries are sent again." in answer
