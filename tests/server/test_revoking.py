"""From the program's call to the socket, in one process."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

import broadcasting
from broadcasting.authorization.rules import routes
from broadcasting.testing import PusherClient, fake


@pytest.mark.django_db(transaction=True)
def test_a_test_client_is_told() -> None:
    user = User.objects.create_user("ada")
    with routes.isolated():
        broadcasting.channel("orders.{number}")(lambda user, number: True)
        with PusherClient() as client:
            client.subscribe("private-orders.1", user=user)
            broadcasting.revoke(user=user, channel="private-orders.1")
            assert client.receive().event == "pusher:subscription_error"
            broadcasting.disconnect(user=user)
            assert client.receive().event == "pusher:error"


@pytest.mark.django_db(transaction=True)
def test_a_fake_holds_no_revocation_back() -> None:
    """App 21: a socket is out, whatever becomes of the events."""
    user = User.objects.create_user("ada")
    with routes.isolated(), fake() as broadcasts:
        broadcasting.channel("orders.{number}")(lambda user, number: True)
        with PusherClient() as client:
            client.subscribe("private-orders.1", user=user)
            broadcasting.private("orders.1").as_("Shipped").send()
            broadcasting.revoke(user=user, channel="private-orders.1")
            assert client.receive().event == "pusher:subscription_error"
    broadcasts.assert_broadcast("Shipped", times=1)
