"""The outbox in the admin: what was given up, and relayed again."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from broadcasting.models import OutboxEntry
from tests.outbox.conftest import relay, sent
from tests.outbox.site import FlakyBroadcaster, Said

URL = "/admin/broadcasting/outboxentry/"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("outbox"),
    pytest.mark.urls("tests.webhooks.urls"),
]


@pytest.fixture
def parked() -> OutboxEntry:
    FlakyBroadcaster.faulty = {"news"}
    Said(4711).dispatch()
    relay()
    FlakyBroadcaster.faulty = set()
    return OutboxEntry.objects.get()


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_it_shows_what_was_given_up_and_no_payload(
    parked: OutboxEntry, admin_client: Client
) -> None:
    listed = admin_client.get(f"{URL}?parked_at__isempty=0").content.decode()
    assert "tests.outbox.site.Said" in listed
    assert "RuntimeError: a bug" in listed
    page = admin_client.get(f"{URL}{parked.pk}/change/").content.decode()
    assert "default news" in page
    assert "4711" not in listed + page
    assert admin_client.get(f"{URL}?body__contains=4711").status_code == 400
    assert admin_client.get(f"{URL}add/").status_code == 403
    assert admin_client.post(f"{URL}{parked.pk}/change/", {"label": "x"}).status_code == 403


def test_relay_again_is_an_action(parked: OutboxEntry, client: Client) -> None:
    chosen = {"action": "relay_again", "_selected_action": [parked.pk]}
    staff(client, "view_outboxentry", "change_outboxentry")
    answer = client.post(URL, chosen, follow=True)
    assert "1 event is relayed again." in answer.content.decode()
    entry = OutboxEntry.objects.get()
    assert (entry.attempts, entry.parked_at) == (0, None)
    assert entry.expires_at > timezone.now()
    relay()
    assert sent() == [4711]


def test_who_may_only_look_relays_nothing(parked: OutboxEntry, client: Client) -> None:
    staff(client, "view_outboxentry")
    client.post(URL, {"action": "relay_again", "_selected_action": [parked.pk]}, follow=True)
    assert OutboxEntry.objects.get().parked_at is not None
