"""The in-memory client in the tests of a project: it sees what the test itself sees."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import User
from django.test import TestCase

from broadcasting.testing.client import PusherClient
from tests.testapp.events import OrderShipped
from tests.testapp.models import Order


class AnOrderInATransaction(TestCase):
    def test_its_rule_finds_the_row_that_nobody_committed(self):
        buyer = User.objects.create_user("buyer")
        order = Order.objects.create(customer=buyer)
        with PusherClient() as client:
            answer = client.subscribe(f"private-orders.{order.pk}", user=buyer)
            assert answer.event == "pusher_internal:subscription_succeeded"
            with self.captureOnCommitCallbacks(execute=True):
                OrderShipped(order).dispatch()
            assert client.receive().data["order"]["id"] == order.pk

    def test_a_denial_says_why(self):
        order = Order.objects.create(customer=User.objects.create_user("buyer"))
        with PusherClient() as client, pytest.raises(AssertionError, match="returned False"):
            client.subscribe(f"private-orders.{order.pk}", user=User.objects.create_user("eve"))


def test_the_colours_of_one_socket_are_not_mixed():
    client = PusherClient().connect()
    try:
        with pytest.raises(AssertionError, match="the other colour"):
            asyncio.run(client.areceive())
        client.send({"event": "pusher:ping"})
        assert client.receive().event == "pusher:pong"
    finally:
        client.close()
