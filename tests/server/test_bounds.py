"""What one socket, one address and one application may take, and what is counted of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from broadcasting import consumers
from broadcasting.applications import get_applications
from broadcasting.asgi import get_application
from broadcasting.protocol import pacing
from broadcasting.protocol.errors import OverCapacity
from broadcasting.server.node import get_node
from broadcasting.testing.client import PusherClient, SocketClosed
from tests import settings

PING = {"event": "pusher:ping", "data": {}}


def applications(**changes: Any) -> override_settings:
    first = settings.BROADCASTING["APPLICATIONS"][0] | changes
    return override_settings(BROADCASTING=settings.BROADCASTING | {"APPLICATIONS": [first]})


class TestRates:
    async def test_what_comes_too_fast_waits_and_none_of_it_is_lost(self):
        with applications(max_messages_per_second=20):
            async with PusherClient() as client:
                for _ in range(215):
                    await client.asend(PING)
                for _ in range(215):
                    assert (await client.areceive()).event == "pusher:pong"
                assert get_node().counters.held_back > 0
                assert get_node().counters.flooded_closed == 0

    async def test_who_goes_on_is_told_and_closed_with_4100(self, monkeypatch):
        monkeypatch.setattr(pacing, "PATIENCE", 0.0)
        with applications(max_messages_per_second=1):
            client = await PusherClient().aconnect()
            for _ in range(50):
                await client.asend(PING)
            answers = 0
            while (answer := await client.areceive()).event == "pusher:pong":
                answers += 1
            assert answers >= 10
            assert (answer.event, answer.data["code"]) == ("pusher:error", 4100)
            with pytest.raises(SocketClosed) as closed:
                await client.areceive()
            assert closed.value.code == 4100
            assert get_node().counters.flooded_closed == 1

    async def test_hundreds_of_subscriptions_at_once_pass(self):
        with applications(max_subscriptions_per_second=1):
            async with PusherClient() as client:
                for number in range(190):
                    await client.asend(
                        {"event": "pusher:subscribe", "data": {"channel": f"c{number}"}}
                    )
                for _ in range(190):
                    answer = await client.areceive()
                    assert answer.event == "pusher_internal:subscription_succeeded"
                assert get_node().counters.held_back == 0

    async def test_what_cannot_be_read_counts_too(self, monkeypatch):
        monkeypatch.setattr(pacing, "PATIENCE", 0.0)
        with applications(max_messages_per_second=1):
            client = await PusherClient().aconnect()
            for _ in range(50):
                await client.asend("nonsense")
            while (code := (await client.areceive()).data["code"]) is None:
                pass
            assert code == 4100

    async def test_a_whisper_over_its_rate_is_4301_and_the_socket_stays(self):
        with applications(max_client_events_per_second=1, enable_client_events=True):
            async with PusherClient() as client:
                await client.asubscribe("private-orders.1")
                for _ in range(2):
                    await client.asend(
                        {"event": "client-x", "channel": "private-orders.1", "data": {}}
                    )
                assert (await client.areceive()).data["code"] == 4301
                await client.areceive_nothing()
                assert get_node().counters.whispers_refused == 1


class TestCounted:
    async def test_a_socket_over_capacity(self):
        with applications(capacity=1):
            async with PusherClient():
                assert await refused() == 4004
            assert get_node().counters.over_capacity == 1

    async def test_a_socket_over_what_all_nodes_may_hold(self, monkeypatch):
        async def full(*_: object) -> None:
            raise OverCapacity

        async with PusherClient():
            monkeypatch.setattr(get_node().registry, "connect", full)
            assert await refused() == 4004
            counters = get_node().counters
            assert (counters.refused, counters.over_capacity) == (1, 1)

    async def test_a_foreign_origin(self):
        assert await refused(headers={"Origin": "https://counted.example"}) == 4009
        assert get_node().counters.origins_refused == 1

    async def test_one_channel_too_many(self):
        with applications(max_channels_per_connection=1):
            async with PusherClient() as client:
                await client.asubscribe("one")
                await client.asend({"event": "pusher:subscribe", "data": {"channel": "two"}})
                assert (await client.areceive()).data["code"] == 4100
                assert (await client.areceive()).event == "pusher:subscription_error"
                assert get_node().counters.channels_refused == 1

    async def test_one_member_too_many(self):
        with applications(max_presence_members_per_channel=1):
            async with PusherClient() as ada, PusherClient() as bob:
                await ada.asubscribe("presence-chat", member={"user_id": "1"})
                refused = await bob.asubscribe("presence-chat", member={"user_id": "2"})
                assert refused.data["code"] == 4100
                assert get_node().counters.members_refused == 1

    async def test_a_message_that_is_too_large(self):
        with applications(max_message_size=100):
            client = await PusherClient().aconnect()
            await client.asend("x" * 101)
            await client.areceive()
            with pytest.raises(SocketClosed) as closed:
                await client.areceive()
            assert closed.value.code == 1009
            await client.aclose()
            assert get_node().counters.too_large == 1


async def refused(**options: Any) -> int:
    with pytest.raises(SocketClosed) as closed:
        await PusherClient(**options).aconnect()
    return closed.value.code


class TestMistakesOfOurOwn:
    """What went wrong stands in the log, and is told to nobody: not under DEBUG either."""

    @pytest.fixture(params=[False, True], autouse=True)
    def debug(self, request):
        with override_settings(DEBUG=request.param):
            yield

    async def test_a_socket_is_told_that_there_was_one(self, monkeypatch, caplog):
        async def handle(*args: Any) -> None:
            raise RuntimeError("what nobody should know")

        monkeypatch.setattr(consumers, "handle", handle)
        async with PusherClient() as client:
            await client.asend(PING)
            answer = await client.areceive()
            assert answer.data == {"message": "Internal error", "code": None}
        assert "what nobody should know" in caplog.text

    async def test_a_publisher_too(self, monkeypatch, caplog):
        def fail(key: str) -> None:
            raise RuntimeError("what nobody should know")

        monkeypatch.setattr(get_applications(), "by_id", fail)
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        query = b"auth_key=k&auth_timestamp=1&auth_version=1.0&auth_signature=x"
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/apps/app/channels",
            "raw_path": b"/apps/app/channels",
            "query_string": query,
            "headers": [],
        }
        await get_application()(scope, receive, send)
        assert sent[0]["status"] == 500
        assert json.loads(sent[1]["body"]) == {"error": "The server made a mistake", "code": 500}
        assert "what nobody should know" in caplog.text
