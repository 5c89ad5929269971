"""Clients in memory for the state machine: what each should know, and what it was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgiref.testing import ApplicationCommunicator

from broadcasting.backplanes.control import CONTROL_CHANNEL
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import authorization, channel_text, user_text
from broadcasting.server.node import Node
from broadcasting.typing import AsgiApplication

Heard = tuple[str, str | None, Any]
"""Event, channel and data."""

STILL = 40
"""Turns of the loop after which nothing is under way any more: nothing here takes longer."""


async def settle() -> None:
    """Return when everything has been handled."""
    for _ in range(STILL):
        await asyncio.sleep(0)


@dataclass(eq=False)
class Client:
    """One socket."""

    application: Application
    socket: ApplicationCommunicator
    socket_id: str = ""
    name: str = ""
    """As whom it joins when it does not care."""

    channels: dict[str, str | None] = field(default_factory=dict)
    """What it has joined, and as whom, by the model."""

    owners: set[str] = field(default_factory=set)
    """Whom it has shown to belong to, by the model."""

    barred: set[str] = field(default_factory=set)
    """Whose connections were terminated when this one was not known to be one of them."""

    user_id: str | None = None
    hears_user: bool = False
    expected: list[Heard] = field(default_factory=list)
    """Events that it should have heard, by the model."""

    heard: list[Heard] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    """Who is where, by what it was told."""

    counts: dict[str, int] = field(default_factory=dict)
    watched: dict[str, bool] = field(default_factory=dict)
    """Whom it watches, and whether they are online, by what it was told."""

    answers: list[str] = field(default_factory=list)
    """Answers and errors since they were looked at last."""

    is_in: dict[str, bool] = field(default_factory=dict)
    """Channels of which it was told last that it is in, or that it is not."""

    barred_from: set[tuple[str, str]] = field(default_factory=set)
    """Users and channels that were revoked since it came."""

    closed: int | None = None
    frames: list[str] = field(default_factory=list)

    @property
    def app_id(self) -> str:
        return self.application.id

    @property
    def gone(self) -> bool:
        return bool(self.socket.future.done())

    async def send(self, event: str, data: Any, **more: Any) -> None:
        """Send a message without waiting for what it does."""
        text = json.dumps({"event": event, "data": data, **more})
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def ask(self, channel: str, user_id: str | None = None) -> None:
        """Ask for a channel, signed if need be."""
        data = {"channel": channel, "auth": ""}
        channel_data = None
        if user_id is not None:
            channel_data = data["channel_data"] = json.dumps({"user_id": user_id})
        if channel.startswith(("private-", "presence-")):
            text = channel_text(self.socket_id, channel, channel_data)
            data["auth"] = authorization(self.application, text)
        await self.send("pusher:subscribe", data)

    async def ask_signin(self, user_id: str, watchlist: list[str]) -> None:
        user_data = json.dumps({"id": user_id, "watchlist": watchlist})
        auth = authorization(self.application, user_text(self.socket_id, user_data))
        await self.send("pusher:signin", {"auth": auth, "user_data": user_data})

    async def hang_up(self) -> None:
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1001})

    def read(self) -> None:
        """Take in what came."""
        while not self.socket.output_queue.empty():
            message = self.socket.output_queue.get_nowait()
            if message["type"] == "websocket.send":
                self.frames.append(message["text"])
                self._take(json.loads(message["text"]))
            elif message["type"] == "websocket.close":
                self.closed = message["code"]

    def _take(self, message: dict[str, Any]) -> None:
        event, channel = message["event"], message.get("channel")
        data: Any = message.get("data")
        match event:
            case "pusher:connection_established":
                self.socket_id = json.loads(data)["socket_id"]
            case "pusher_internal:subscription_succeeded":
                self.answers.append("succeeded")
                self.is_in[str(channel)] = True
                presence = json.loads(data).get("presence")
                if presence is not None:
                    self.members[str(channel)] = set(presence["ids"])
                    assert presence["count"] == len(presence["ids"])
            case "pusher_internal:member_added":
                user_id = json.loads(data)["user_id"]
                assert user_id not in self.members[str(channel)]
                self.members[str(channel)].add(user_id)
            case "pusher_internal:member_removed":
                self.members[str(channel)].remove(json.loads(data)["user_id"])
            case "pusher_internal:subscription_count":
                self.counts[str(channel)] = json.loads(data)["subscription_count"]
            case "pusher_internal:watchlist_events":
                for change in json.loads(data)["events"]:
                    for user_id in change["user_ids"]:
                        self.watched[user_id] = change["name"] == "online"
            case "pusher:error":
                self.answers.append(f"error {data['code']}")
            case "pusher:subscription_error":
                self.answers.append(event)
                self.is_in[str(channel)] = False
            case "pusher:signin_success":
                self.answers.append(event)
            case _:
                self.heard.append((event, channel, data))


async def connect(asgi: AsgiApplication, application: Application) -> Client:
    """Open a socket; the greeting may be still on its way."""
    path = f"/app/{application.key}"
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"protocol=7",
        "headers": [],
        "subprotocols": [],
    }
    client = Client(application, ApplicationCommunicator(asgi, scope))
    await client.socket.send_input({"type": "websocket.connect"})
    return client


def left_behind(node: Node) -> dict[str, object]:
    """Return whatever a node and its registry still hold of sockets that are gone."""
    registry: Any = node.registry
    interests: Any = node.interests
    snapshots: Any = node.subscriptions._snapshots
    held = {
        "connections": node.connections,
        "capacity": {app: n for app, n in node._per_application.items() if n},
        "listeners": node.hub._listeners,
        "users": node.access._sockets,
        "passed": node.replays._passed,
        "ahead": node.replays._ahead,
        "pauses": node.counts._pauses,
        "topics": [topic for topic in interests._topics if topic[1] != CONTROL_CHANNEL],
        "leaving": interests._leaving,
        "registry sockets": _full(registry._sockets),
        "registry users": _full(registry._users),
        "registry rosters": _full(registry._rosters),
        "snapshots": snapshots._frames,
        "newcomers": snapshots._newcomers,
        "newcomers of this turn": snapshots._groups,
        "asking": snapshots._asking,
        "registry connections": _full(registry._connections),
        "signed in": _full(registry._signed_in),
    }
    return {name: what for name, what in held.items() if what}


def _full(held: Mapping[str, object]) -> list[str]:
    return [app_id for app_id, what in held.items() if what]
