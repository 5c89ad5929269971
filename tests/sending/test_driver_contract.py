"""Every driver keeps the contract that is shipped for drivers of others."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import pytest
import redis
from websockets.sync.client import ClientConnection, connect

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasters.ably import AblyBroadcaster
from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.broadcasters.log import LogBroadcaster
from broadcasting.broadcasters.null import NullBroadcaster
from broadcasting.broadcasters.pusher import PusherBroadcaster
from broadcasting.broadcasters.redis import RedisBroadcaster
from broadcasting.testing import PusherClient
from broadcasting.testing.contracts import BroadcasterContract, Heard
from tests.conformance.peer import OPTIONS
from tests.conftest import Valkey
from tests.live import Server, free_port
from tests.webhooks.receiver import receiving

SECRET = "very-secret-indeed-of-43-characters-as-abl"


class TestChannels(BroadcasterContract):
    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        with PusherClient(timeout=self.patience) as self.client:
            yield

    def make(self) -> BaseBroadcaster:
        return broadcasters.build({"BACKEND": "channels"})

    def listen(self, *channels: str) -> None:
        for channel in channels:
            self.client.subscribe(channel)

    def heard(self, number: int) -> Sequence[Heard]:
        received = [self.client.receive() for _ in range(number)]
        # What came uninvited is here before the answer to a question asked now.
        self.client.send({"event": "pusher:ping", "data": {}})
        while (frame := self.client.receive()).event != "pusher:pong":
            received.append(frame)
        return [Heard(channel=one.channel or "", name=one.event, data=one.data) for one in received]


class TestPusher(BroadcasterContract):
    """Against our own server, over HTTP."""

    secrets = ("app-secret",)

    @pytest.fixture(autouse=True)
    def place(self, server: Server) -> Iterator[None]:
        self.port = server.port
        options = {name: value for name, value in OPTIONS.items() if name != "ping_interval"}
        with connect(server.socket_url, **options) as self.socket:
            assert receive(self.socket)["event"] == "pusher:connection_established"
            yield

    def make(self, **changes: Any) -> BaseBroadcaster:
        who = {"app_id": "app", "key": "app-key", "secret": "app-secret"}
        where = {"host": "127.0.0.1", "port": self.port, "use_tls": False}
        return PusherBroadcaster({**who, **where, **changes})

    def make_unreachable(self) -> BaseBroadcaster:
        return self.make(port=free_port())

    def listen(self, *channels: str) -> None:
        for channel in channels:
            ask(self.socket, "pusher:subscribe", channel=channel)
            assert receive(self.socket)["event"] == "pusher_internal:subscription_succeeded"

    def heard(self, number: int) -> Sequence[Heard]:
        received = [receive(self.socket) for _ in range(number)]
        ask(self.socket, "pusher:ping")
        while (message := receive(self.socket))["event"] != "pusher:pong":
            received.append(message)
        return [
            Heard(channel=one["channel"], name=one["event"], data=json.loads(one["data"]))
            for one in received
        ]


class TestRedis(BroadcasterContract):
    secrets = (SECRET,)

    @pytest.fixture(autouse=True)
    def place(self, valkey: Valkey, configure: Any) -> Iterator[None]:
        configure(PUBLISH_TIMEOUT=self.patience)  # the machine may be busy with other tests
        self.url = valkey.url
        with redis.Redis.from_url(valkey.url) as client, client.pubsub() as self.pubsub:
            yield

    def make(self) -> BaseBroadcaster:
        return RedisBroadcaster({"url": self.url, "prefix": "contract_"})

    def make_unreachable(self) -> BaseBroadcaster:
        return RedisBroadcaster({"url": f"redis://user:{SECRET}@127.0.0.1:{free_port()}/0"})

    def listen(self, *channels: str) -> None:
        for channel in channels:
            self.pubsub.subscribe(f"contract_{channel}")
            assert self.pubsub.get_message(timeout=self.patience)

    def heard(self, number: int) -> Sequence[Heard]:
        found: list[Heard] = []
        while message := self.pubsub.get_message(
            timeout=self.patience if len(found) < number else 0
        ):
            content = json.loads(message["data"])
            channel = message["channel"].decode().removeprefix("contract_")
            found.append(Heard(channel=channel, name=content["event"], data=content["data"]))
        return found


class TestAbly(BroadcasterContract):
    """Against a stand-in that answers as Ably documents."""

    secrets = (SECRET,)

    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        with receiving(lambda number, path, webhook_id: 201) as self.receiver:
            yield

    def make(self, **changes: Any) -> BaseBroadcaster:
        where = {"host": "localhost", "port": self.receiver.port, "use_tls": False}
        return AblyBroadcaster({"key": f"app.key:{SECRET}", **where, **changes})

    def make_unreachable(self) -> BaseBroadcaster:
        return self.make(port=free_port())

    def heard(self, number: int) -> Sequence[Heard]:
        return [one for request in self.receiver.requests for one in said(request)]


class TestLocmem(BroadcasterContract):
    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        LocmemBroadcaster.clear()
        yield
        LocmemBroadcaster.clear()

    def make(self) -> BaseBroadcaster:
        return LocmemBroadcaster({})

    def heard(self, number: int) -> Sequence[Heard]:
        return [
            Heard(channel=channel, name=one.name, data=json.loads(one.data))
            for one in LocmemBroadcaster.outbox
            for channel in one.channels
        ]


class TestLog(BroadcasterContract):
    @pytest.fixture(autouse=True)
    def place(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "broadcasting.log")
        self.caplog = caplog

    def make(self) -> BaseBroadcaster:
        return LogBroadcaster({})

    def heard(self, number: int) -> Sequence[Heard]:
        found = []
        for line in (m for m in self.caplog.messages if m.startswith("Broadcasting ")):
            head, _, data = line.partition("\n")
            _, name, _, names = head.partition(" except")[0].split(" ", 3)
            for channel in filter(None, names.split(", ")):
                found.append(Heard(channel=channel, name=name, data=json.loads(data)))
        return found


class TestNull(BroadcasterContract):
    """What it is given is remembered on its way: nothing else would tell."""

    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.given: list[Heard] = []

    def make(self) -> BaseBroadcaster:
        given = self.given

        class Remembered(NullBroadcaster):
            def broadcast(self, broadcast: Any) -> None:
                assert super().broadcast(broadcast) is None
                for channel in broadcast.channels:
                    data = json.loads(broadcast.data)
                    given.append(Heard(channel=channel, name=broadcast.name, data=data))

        return Remembered({})

    def heard(self, number: int) -> Sequence[Heard]:
        return self.given


def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(BroadcasterContract.patience))
    return message


def ask(socket: ClientConnection, event: str, **data: str) -> None:
    socket.send(json.dumps({"event": event, "data": data}))


def said(request: Any) -> Iterator[Heard]:
    """Yield what one request to Ably publishes."""
    content = request.content
    if request.path == "/messages":
        channels, message = content["channels"], content["messages"]
    else:
        channels, message = [unquote(request.path.split("/")[2])], content
    for channel in channels:
        name = channel.removeprefix("public:")
        yield Heard(channel=name, name=message["name"], data=json.loads(message["data"]))
