"""The consumer from outside, in memory: what a client of the protocol sees."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.applications import default_application
from broadcasting.asgi import get_application
from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.consumers import MESSAGES_A_TURN, PusherConsumer, _came_over_tls, _origin
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.protocol import messages
from broadcasting.server.node import get_node
from broadcasting.server.origins import is_allowed
from broadcasting.testing.client import PusherClient, SocketClosed
from tests import settings
from tests.server.fakes import FakeSocket, connection

ADA = {"user_id": 1, "user_info": {"name": "Ada"}}
BOB = {"user_id": "2", "user_info": {"name": "Bob"}}


def applications(**changes: Any) -> override_settings:
    first = settings.BROADCASTING["APPLICATIONS"][0] | changes
    return override_settings(BROADCASTING=settings.BROADCASTING | {"APPLICATIONS": [first]})


def server(**changes: Any) -> override_settings:
    return override_settings(BROADCASTING=settings.BROADCASTING | {"SERVER": changes})


async def publish(channel: str, data: str = "{}", except_socket: str | None = None) -> None:
    frame = messages.event("Shipped", channel, data)
    await get_backplane().apublish(
        Envelope(app_id="app", channel=channel, frame=frame, except_socket=except_socket)
    )


class TestConversation:
    async def test_a_public_channel(self):
        async with PusherClient() as client:
            answer = await client.asubscribe("orders")
            assert answer.frame == (
                '{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"orders"}'
            )
            await publish("orders", "not json")
            assert (await client.areceive()).data == "not json"
            await client.aunsubscribe("orders")
            await client.areceive_nothing()
            await publish("orders")
            await client.areceive_nothing()

    async def test_the_excluded_socket_gets_nothing_and_the_others_do(self):
        async with PusherClient() as sender, PusherClient() as other:
            await sender.asubscribe("private-orders.1")
            await other.asubscribe("private-orders.1")
            await publish("private-orders.1", except_socket=sender.socket_id)
            assert (await other.areceive()).event == "Shipped"
            await sender.areceive_nothing()

    async def test_applications_do_not_hear_each_other(self):
        async with PusherClient() as first, PusherClient("second") as second:
            await first.asubscribe("c")
            await second.asubscribe("c")
            await publish("c")
            assert (await first.areceive()).event == "Shipped"
            await second.areceive_nothing()

    async def test_subscribing_twice_answers_twice_and_delivers_once(self):
        async with PusherClient() as client:
            await client.asubscribe("c")
            answer = await client.asubscribe("c")
            assert answer.event == "pusher_internal:subscription_succeeded"
            await publish("c")
            await client.areceive()
            await client.areceive_nothing()

    async def test_a_whisper_reaches_the_others_with_its_sender(self):
        async with PusherClient() as ada, PusherClient() as bob:
            await ada.asubscribe("presence-chat", member=ADA)
            await bob.asubscribe("presence-chat", member=BOB)
            await ada.areceive()  # member_added
            await ada.asend(
                {
                    "event": "client-typing",
                    "channel": "presence-chat",
                    "data": {"at": [1, None]},
                    "user_id": "forged",
                    "extra": 1,
                }
            )
            heard = await bob.areceive()
            assert json.loads(heard.frame) == {
                "event": "client-typing",
                "data": {"at": [1, None]},
                "channel": "presence-chat",
                "user_id": "1",
            }
            await ada.areceive_nothing()

    def test_from_sync_code(self):
        with PusherClient() as client:
            client.subscribe("orders")
            get_backplane().publish(
                Envelope(app_id="app", channel="orders", frame=messages.event("E", "orders", "1"))
            )
            assert client.receive().data == 1
            client.receive_nothing()


class TestPresence:
    async def test_members_are_counted_by_user_not_by_socket(self):
        async with PusherClient() as ada, PusherClient() as bob, PusherClient() as bob_too:
            answer = await ada.asubscribe("presence-chat", member=ADA)
            assert answer.data == {
                "presence": {"count": 1, "ids": ["1"], "hash": {"1": {"name": "Ada"}}}
            }
            assert (await bob.asubscribe("presence-chat", member=BOB)).data["presence"][
                "count"
            ] == 2
            added = await ada.areceive()
            assert added.event == "pusher_internal:member_added"
            assert added.data == BOB
            snapshot = await bob_too.asubscribe("presence-chat", member=BOB)
            assert snapshot.data["presence"]["ids"] == ["1", "2"]
            await ada.areceive_nothing()
            await bob.aunsubscribe("presence-chat")
            await bob.areceive_nothing()
            await ada.areceive_nothing()
            await bob_too.aclose()
            removed = await ada.areceive()
            assert removed.event == "pusher_internal:member_removed"
            assert removed.data == {"user_id": "2"}

    async def test_one_closed_socket_leaves_all_its_channels_once(self):
        async with PusherClient() as watcher:
            channels = [f"presence-{number}" for number in range(20)]
            for channel in channels:
                await watcher.asubscribe(channel, member=ADA)
            async with PusherClient() as leaver:
                for channel in channels:
                    await leaver.asubscribe(channel, member=BOB)
                    await watcher.areceive()
            left = [await watcher.areceive() for _ in channels]
            assert sorted(frame.channel or "" for frame in left) == sorted(channels)
            await watcher.areceive_nothing()

    async def test_a_full_channel_lets_a_members_second_socket_in_and_nobody_else(self):
        with applications(max_presence_members_per_channel=1):
            async with PusherClient() as ada, PusherClient() as ada_too, PusherClient() as bob:
                await ada.asubscribe("presence-full", member=ADA)
                again = await ada_too.asubscribe("presence-full", member=ADA)
                assert again.event == "pusher_internal:subscription_succeeded"
                refused = await bob.asubscribe("presence-full", member=BOB)
                assert (refused.event, refused.data["code"]) == ("pusher:error", 4100)
                failed = await bob.areceive()
                assert failed.event == "pusher:subscription_error"
                assert failed.data["type"] == "LimitReached"
                await ada.areceive_nothing()

    async def test_subscribing_again_neither_joins_nor_tells_anybody(self):
        async with PusherClient() as ada, PusherClient() as bob:
            await ada.asubscribe("presence-chat", member=ADA)
            await bob.asubscribe("presence-chat", member=BOB)
            await ada.areceive()
            again = await bob.asubscribe("presence-chat", member=BOB)
            assert again.data["presence"]["count"] == 2
            await ada.areceive_nothing()


class TestHandshake:
    @pytest.mark.parametrize(
        ("key", "query", "code"),
        [
            ("nobody", "protocol=7", 4001),
            ("APP-KEY", "protocol=7", 4001),
            ("app-key", "protocol=3", 4007),
            ("app-key", "protocol=8", 4007),
            ("app-key", "protocol=abc", 4006),
            ("app-key", "protocol=", 4006),
            ("app-key", "protocol=%C2%B2", 4006),
        ],
    )
    async def test_a_refusal_is_told_and_closed_with_its_code(self, key, query, code):
        with pytest.raises(SocketClosed) as closed:
            await PusherClient(key=key, query=query).aconnect()
        assert closed.value.code == code
        assert closed.value.reason

    @pytest.mark.parametrize("query", ["", "protocol=5", "protocol=6&flash=false&x=y"])
    async def test_every_spoken_version_and_unknown_parameters_are_welcome(self, query):
        async with PusherClient(query=query) as client:
            assert client.socket_id

    async def test_a_disabled_application_is_4003(self):
        with applications(enabled=False), pytest.raises(SocketClosed) as closed:
            await PusherClient().aconnect()
        assert closed.value.code == 4003

    @pytest.mark.parametrize(
        ("said", "opens"),
        [("https", True), ("https, http", True), ("http", False), (None, False)],
    )
    async def test_a_proxy_that_django_trusts_may_say_that_it_was_tls(self, said, opens):
        headers = {} if said is None else {"X-Forwarded-Proto": said}
        with (
            applications(require_tls=True),
            override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")),
        ):
            client = PusherClient(headers=headers)
            if opens:
                async with client:
                    pass
            else:
                with pytest.raises(SocketClosed) as closed:
                    await client.aconnect()
                assert closed.value.code == 4000

    @pytest.mark.parametrize(
        ("scheme", "said", "secure"),
        [("wss", None, True), ("wss", "http", False), ("ws", "https", True), ("ws", None, False)],
    )
    def test_what_the_proxy_says_comes_first(self, scheme, said, secure):
        headers = [] if said is None else [(b"x-forwarded-proto", said.encode())]
        scope = {"scheme": scheme, "headers": headers}
        with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
            assert _came_over_tls(scope) is secure
        assert _came_over_tls(scope) is (scheme == "wss")

    async def test_a_tls_only_application_is_4000_over_plain_text(self):
        with applications(require_tls=True), pytest.raises(SocketClosed) as closed:
            await PusherClient().aconnect()
        assert closed.value.code == 4000

    async def test_capacity_counts_open_sockets_and_frees_closed_ones(self):
        with applications(capacity=1):
            async with PusherClient():
                with pytest.raises(SocketClosed) as closed:
                    await PusherClient().aconnect()
                assert closed.value.code == 4004
            async with PusherClient() as client:
                await client.areceive_nothing()

    async def test_the_socket_ids_differ(self):
        node = get_node()
        assert len({node.new_socket_id() for _ in range(1_000)}) == 1_000


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            ("https://testserver", True),
            ("http://localhost:8000", True),
            ("https://evil.example", False),
            ("https://testserver.evil.example", False),
            ("null", False),
            ("https://[bad", False),
        ],
    )
    async def test_by_default_the_sites_own_hosts_may_connect(self, origin, allowed):
        assert await self.connects(origin) is allowed

    @pytest.mark.parametrize(
        ("entry", "origin", "allowed"),
        [
            ("*", "https://any.example", True),
            ("app.test", "http://app.test:8080", True),
            ("app.test", "https://a.app.test", False),
            ("*.app.test", "https://a.app.test", True),
            ("*.app.test", "https://app.test.evil.com", False),
            ("*.app.test", "https://evilapp.test", False),
            ("https://app.test", "https://app.test", True),
            ("https://app.test", "http://app.test", False),
            ("https://app.test:8443", "https://app.test", False),
            ("https://*.app.test", "https://a.app.test:443", True),
        ],
    )
    async def test_an_application_may_name_its_origins(self, entry, origin, allowed):
        with applications(allowed_origins=[entry]):
            assert await self.connects(origin) is allowed

    def test_two_origins_are_none(self):
        one, two = (b"origin", b"https://testserver"), (b"Origin", b"https://evil.example")
        assert _origin({"headers": []}) is None
        assert _origin({"headers": [one]}) == "https://testserver"
        for headers in ([one, two], [two, one], [one, one]):
            said = _origin({"headers": headers})
            assert not is_allowed(said, default_application())

    async def test_a_denial_is_logged_once_with_the_setting_to_change(self, caplog):
        caplog.set_level(logging.WARNING, "broadcasting.server")
        for _ in range(3):
            assert not await self.connects("https://only-once.example")
        (record,) = caplog.records
        assert "allowed_origins" in record.getMessage()
        assert "CSRF_TRUSTED_ORIGINS" in record.getMessage()

    async def connects(self, origin: str) -> bool:
        try:
            async with PusherClient(headers={"Origin": origin}):
                return True
        except SocketClosed as closed:
            if closed.code != 4009:
                raise
            return False


class TestBadInput:
    @pytest.mark.parametrize(
        "text",
        [
            "nonsense",
            "[]",
            "null",
            "7",
            "{}",
            '{"event": 1}',
            '{"event": "pusher:unknown"}',
            '{"event": "pusher_internal:member_added", "channel": "c", "data": "{}"}',
            '{"event": "pusher:subscribe"}',
            '{"event": "pusher:subscribe", "data": {"channel": 7}}',
            '{"event": "pusher:subscribe", "data": {"channel": "c", "auth": 7}}',
            '{"event": "pusher:subscribe", "data": "nonsense"}',
            '{"event": "pusher:unsubscribe", "data": []}',
            '{"event": "client-x", "channel": "private-c"}',
            '{"event": "client-x", "data": 1}',
            '{"event": "client-x", "channel": "private-c", "data": 1}',
            '{"event": "client-x", "channel": "private-c", "data": NaN}',
            "[" * 60_000,
        ],
    )
    async def test_is_answered_and_the_socket_lives_on(self, text):
        async with PusherClient() as client:
            await client.asend(text)
            assert (await client.areceive()).event == "pusher:error"
            await client.areceive_nothing()

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "ü", "#x", "c\n", "x" * 201])
    async def test_an_invalid_channel_name_is_refused(self, name):
        async with PusherClient() as client:
            refused = await client.asubscribe(name)
            assert refused.event == "pusher:error"
            assert (await client.areceive()).event == "pusher:subscription_error"

    @pytest.mark.parametrize("auth", ["", "app-key", "app-key:", "app-key:" + "0" * 64, "x:ä"])
    async def test_a_forged_signature_is_refused_and_a_good_one_still_works(self, auth):
        async with PusherClient() as client:
            refused = await client.asubscribe("private-c", auth=auth)
            assert (refused.event, refused.channel) == ("pusher:error", "private-c")
            failed = await client.areceive()
            assert failed.event == "pusher:subscription_error"
            assert failed.data["status"] == 401
            await publish("private-c")
            await client.areceive_nothing()
            assert (
                await client.asubscribe("private-c")
            ).event == "pusher_internal:subscription_succeeded"

    async def test_an_oversize_frame_ends_the_socket_with_1009(self):
        async with PusherClient() as client:
            await client.asend('{"event":"pusher:ping","x":"' + "x" * 65_536 + '"}')
            assert (await client.areceive()).event == "pusher:error"
            with pytest.raises(SocketClosed) as closed:
                await client.areceive()
            assert closed.value.code == 1009

    async def test_leaving_what_was_never_joined_is_silent(self):
        async with PusherClient() as client:
            await client.aunsubscribe("c")
            await client.areceive_nothing()

    async def test_a_failure_of_ours_is_answered_logged_and_counted(self, monkeypatch, caplog):
        async def broken(*args: object) -> None:
            raise ZeroDivisionError

        async with PusherClient() as client:
            node = get_node()
            before = node.counters.failures
            monkeypatch.setattr(node.subscriptions, "enter", broken)
            answer = await client.asubscribe("c")
            assert answer.data["message"] == "Internal error"
            assert node.counters.failures == before + 1
            assert "ZeroDivisionError" in caplog.text
            await client.areceive_nothing()


class TestSilence:
    async def test_a_silent_peer_is_asked_then_closed_with_4201(self):
        with server(ACTIVITY_TIMEOUT=0.05, PONG_TIMEOUT=0.05):
            async with PusherClient() as client:
                assert (await client.areceive()).event == "pusher:ping"
                assert (await client.areceive()).data["code"] == 4201
                with pytest.raises(SocketClosed) as closed:
                    await client.areceive()
                assert closed.value.code == 4201

    async def test_any_frame_proves_the_peer_alive(self):
        with server(ACTIVITY_TIMEOUT=0.05, PONG_TIMEOUT=0.2):
            async with PusherClient() as client:
                for _ in range(3):
                    assert (await client.areceive()).event == "pusher:ping"
                    await client.asend({"event": "pusher:pong", "data": {}})


class TestNode:
    async def test_a_stopping_node_sends_its_sockets_away_and_takes_no_new_ones(self):
        async with PusherClient() as client:
            await get_node().stop()
            assert (await client.areceive()).data["code"] == 4200
            with pytest.raises(SocketClosed) as closed:
                await client.areceive()
            assert closed.value.code == 4200
            with pytest.raises(SocketClosed) as refused:
                await PusherClient().aconnect()
            assert refused.value.code == 4200

    async def test_without_the_backplane_a_subscriber_is_sent_away_to_return(self, monkeypatch):
        async def unavailable(topic: tuple[str, str]) -> None:
            raise BackplaneUnavailable("down")

        async with PusherClient() as client:
            monkeypatch.setattr(get_node().interests, "hold", unavailable)
            assert (await client.asubscribe("c")).data["code"] == 4100
            with pytest.raises(SocketClosed) as closed:
                await client.areceive()
            assert closed.value.code == 4100

    async def test_nothing_of_a_closed_socket_stays(self):
        async with PusherClient() as client:
            await client.asubscribe("c")
            await client.asubscribe("presence-chat", member=ADA)
        node = get_node()
        assert node.connections == {}
        assert node.hub.count(("app", "c")) == 0
        assert (await node.registry.occupancy("app", "presence-chat")).sockets == 0
        await node.interests.settled()
        assert node.interests._topics == {}

    async def test_lifespan_starts_and_stops_the_node(self):
        sent: list[dict[str, Any]] = []
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> dict[str, Any]:
            return next(events)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await get_application()({"type": "lifespan"}, receive, send)
        assert [m["type"] for m in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        assert get_node().draining

    async def test_an_unknown_socket_path_is_closed_quietly(self, caplog):
        client = PusherClient()
        client._scope["path"] = "/nothing/here"
        with pytest.raises(SocketClosed):
            await client.aconnect()
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_a_socket_whose_server_never_waits_leaves_the_others_their_turns():
    """Servers hand on all that one read brought, and neither side suspends meanwhile."""
    frames = iter(["{"] * 640)
    turns = 0

    async def receive() -> dict[str, Any]:
        text = next(frames, None)
        if text is None:
            return {"type": "websocket.disconnect", "code": 1000}
        return {"type": "websocket.receive", "text": text}

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    node = get_node()
    socket = FakeSocket()
    flooder = connection(socket)
    await node.connect(flooder)
    others = asyncio.create_task(other())
    await PusherConsumer().listen(node, flooder, receive)
    others.cancel()
    await node.disconnect(flooder)
    assert turns >= 640 / MESSAGES_A_TURN
    assert len(socket.texts) == 641
