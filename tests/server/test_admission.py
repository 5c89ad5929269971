"""A herd is served in turns: who is one too many is sent away before anything is done for it."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import override_settings

from broadcasting.conf import ServerSettings
from broadcasting.server.admission import Admission
from broadcasting.server.counters import Counters
from broadcasting.server.node import get_node
from broadcasting.testing.client import PusherClient, SocketClosed


def limited(**changes: int) -> override_settings:
    server = settings.BROADCASTING.get("SERVER", {}) | changes
    return override_settings(BROADCASTING=settings.BROADCASTING | {"SERVER": server})


def test_a_second_brings_as_many_as_it_may(caplog: pytest.LogCaptureFixture):
    counters = Counters()
    admission = Admission(ServerSettings(max_handshakes_per_second=2), counters, 0.0)
    assert [admission.admits_socket(0.0) for _ in range(4)] == [True, True, False, False]
    assert [admission.admits_socket(1.0) for _ in range(3)] == [True, True, False]
    assert counters.handshakes_shed == 3
    assert len(caplog.records) == 1
    assert "MAX_HANDSHAKES_PER_SECOND" in caplog.text


def test_who_is_in_a_channel_goes_on_and_those_who_come_pay():
    counters = Counters()
    admission = Admission(ServerSettings(max_subscriptions_per_second=2), counters, 0.0)
    assert admission.admits_subscription(0.0, first=True)
    assert all(admission.admits_subscription(0.0, first=False) for _ in range(100))
    assert not admission.admits_subscription(1.0, first=True)
    # No more than a second's worth is owed, whatever was taken.
    assert admission.admits_subscription(2.0, first=True)
    assert counters.subscriptions_shed == 1


def test_no_limit_is_a_limit_too():
    unlimited = ServerSettings(max_handshakes_per_second=None, max_subscriptions_per_second=None)
    admission = Admission(unlimited, Counters(), 0.0)
    assert all(admission.admits_socket(0.0) for _ in range(10_000))
    assert all(admission.admits_subscription(0.0, first=True) for _ in range(30_000))


async def test_a_handshake_too_many_is_4100_before_its_key_is_looked_up():
    with limited(MAX_HANDSHAKES_PER_SECOND=1):
        code = 4001
        # On a busy machine a second may pass between two of them.
        while code == 4001:
            with pytest.raises(SocketClosed) as closed:
                await PusherClient(key="nobody-has-this-key").aconnect()
            code = closed.value.code
        assert code == 4100
        assert get_node().counters.handshakes_shed == 1


async def test_a_newcomer_whose_subscription_is_too_much_is_sent_away_with_4100():
    with limited(MAX_SUBSCRIPTIONS_PER_SECOND=1):
        async with PusherClient() as first, PusherClient() as late:
            await first.asubscribe("a")
            await first.asubscribe("b")  # it is in already
            await late.asend({"event": "pusher:subscribe", "data": {"channel": "a"}})
            assert (await late.areceive()).data["code"] == 4100
            with pytest.raises(SocketClosed) as closed:
                await late.areceive()
            assert closed.value.code == 4100
        assert get_node().counters.subscriptions_shed == 1
