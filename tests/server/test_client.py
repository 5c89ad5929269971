"""The in-memory client in the tests of a project: it sees what the test itself sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import TestCase

from broadcasting import ShouldBroadcast, UserChannel, channel, user_resolver
from broadcasting.authorization import resolver, routes
from broadcasting.backplanes import Envelope
from broadcasting.protocol.encryption import channel_key, encrypt
from broadcasting.publishing import apublish
from broadcasting.testing.client import PusherClient
from tests.testapp.events import OrderShipped
from tests.testapp.models import Order

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


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


@pytest.fixture
def vault(settings: Any) -> Iterator[None]:
    """An application that can encrypt, and a rule for its channels."""
    entry = {**settings.BROADCASTING["APPLICATIONS"][0], "encryption_master_key": MASTER_KEY}
    settings.BROADCASTING = {
        **settings.BROADCASTING,
        "APPLICATIONS": [{**entry, "enable_watchlist_events": True}],
    }
    with routes.isolated(), resolver.isolated():
        channel("vault.{number}")(lambda user, number: True)
        yield


class Opened(ShouldBroadcast):
    number: int
    on: str

    class Meta:
        now = True

    def broadcast_on(self) -> str:
        return self.on

    def broadcast_with(self) -> dict[str, int]:
        return {"number": self.number}


@pytest.mark.usefixtures("vault")
class TestEncryptedChannels:
    NAME = "private-encrypted-vault.1"

    @pytest.mark.parametrize("user", [User(pk=7), None])
    def test_what_arrives_is_decrypted_and_the_frame_was_not(self, user: Any):
        with PusherClient() as client:
            client.subscribe(self.NAME, user=user)
            Opened(1, self.NAME).dispatch()
            received = client.receive()
            assert (received.event, received.data) == ("Opened", {"number": 1})
            assert json.loads(json.loads(received.frame)["data"]).keys() == {"nonce", "ciphertext"}

    async def test_what_a_foreign_library_sealed_is_carried_as_it_is(self):
        """141."""
        key = channel_key(self.NAME, bytes(range(32)))
        # No compact JSON, which an encoder of ours would have made of it.
        sealed = encrypt('{"number": 1}', key, b"n" * 24).replace('","', '" ,\n "')
        frame = json.dumps({"event": "Opened", "channel": self.NAME, "data": sealed})
        async with PusherClient() as client:
            await client.asubscribe(self.NAME, user=User(pk=7))
            await apublish(Envelope(app_id="app", channel=self.NAME, frame=frame))
            received = await client.areceive()
            assert received.frame == frame
            assert received.data == {"number": 1}

    async def test_an_event_that_is_not_sealed_with_its_key_says_so(self):
        async with PusherClient() as client:
            await client.asubscribe(self.NAME)
            frame = json.dumps({"event": "Opened", "channel": self.NAME, "data": "{}"})
            await apublish(Envelope(app_id="app", channel=self.NAME, frame=frame))
            with pytest.raises(AssertionError, match=r"Opened on .* cannot be decrypted"):
                await client.areceive()

    @pytest.mark.parametrize(
        "name", ["cache-news", "private-cache-vault.1", "private-encrypted-cache-vault.1"]
    )
    def test_a_cache_channel_replays_what_was_sent_before(self, name: str):
        with PusherClient() as early:
            early.subscribe(name)
            assert early.receive().event == "pusher:cache_miss"
            early.unsubscribe(name)
            Opened(2, name).dispatch()
            early.receive_nothing()
        with PusherClient() as late:
            late.subscribe(name)
            assert late.receive().data == {"number": 2}


@pytest.mark.usefixtures("vault")
class TestSigningIn:
    def test_a_user_hears_what_is_for_them_alone(self):
        user_resolver(lambda user: {"id": f"u{user.pk}"})
        with PusherClient() as ada, PusherClient() as guest:
            answer = ada.sign_in(User(pk=7))
            assert answer.event == "pusher:signin_success"
            assert answer.data == {"user_data": '{"id":"u7"}'}
            Opened(3, str(UserChannel("u7"))).dispatch()
            received = ada.receive()
            assert (received.channel, received.data) == ("#server-to-user-u7", {"number": 3})
            guest.receive_nothing()

    async def test_the_async_twin_does_the_same(self):
        async with PusherClient() as client:
            assert (await client.asign_in(User(pk=7))).event == "pusher:signin_success"
            answer = await client.asubscribe("#server-to-user-7")
            assert answer.event == "pusher_internal:subscription_succeeded"
            await Opened(4, "#server-to-user-7").adispatch()
            assert (await client.areceive()).data == {"number": 4}
            await client.areceive_nothing()

    def test_a_client_can_sign_for_itself(self):
        data = {"id": "x", "watchlist": ["y"]}
        with PusherClient() as client:
            assert client.sign_in(user_data=data).event == "pusher:signin_success"
            events = client.receive().data["events"]
            assert events == [{"name": "offline", "user_ids": ["y"]}]

    def test_a_bad_signature_is_refused(self):
        with PusherClient() as client:
            assert client.sign_in(user_data={"id": "x"}, auth="app-key:no").event == "pusher:error"

    def test_a_denial_says_why(self):
        user_resolver(lambda user: None)
        with PusherClient() as client, pytest.raises(AssertionError, match="returned None"):
            client.sign_in(User(pk=7))


def test_the_colours_of_one_socket_are_not_mixed():
    client = PusherClient().connect()
    try:
        with pytest.raises(AssertionError, match="the other colour"):
            asyncio.run(client.areceive())
        client.send({"event": "pusher:ping"})
        assert client.receive().event == "pusher:pong"
    finally:
        client.close()
