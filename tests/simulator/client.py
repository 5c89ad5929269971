"""A client that returns as pusher-js does, over a socket in memory."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from broadcasting.consumers import PusherConsumer
from broadcasting.protocol.names import ChannelKind, kind_of
from broadcasting.protocol.signing import authorization, channel_text, user_text
from tests.simulator.loop import Line
from tests.simulator.view import Shown, View

if TYPE_CHECKING:
    from tests.simulator.world import Server, World

Message = dict[str, Any]

CLOSE_TO = 0.03
"""Seconds that a frame is on its way at most."""


class Socket:
    """One connection to one server."""

    def __init__(self, server: Server, client: Client) -> None:
        self.server = server
        self.is_open = True
        """Whether either side may still say something."""

        world = client.world
        self._client = client
        self._up = Line(world.loop, world.rng, CLOSE_TO)
        self._down = Line(world.loop, world.rng, CLOSE_TO)
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._said_goodbye = False
        key = world.application.key
        scope = {
            "type": "websocket",
            "path": f"/app/{key}",
            "query_string": b"protocol=7",
            "headers": [],
            "url_route": {"kwargs": {"key": key}},
        }
        self.say({"type": "websocket.connect"})
        server.process.run(self._serve, scope)

    def say(self, message: Message) -> None:
        """Send to the server."""
        self._up.carry(self._inbox.put_nowait, message, to=self.server.process)

    def end(self, *, silently: bool = False) -> None:
        """Close from the client's side; ``silently``: the server has to find out."""
        self.is_open = False
        if not silently:
            self.say({"type": "websocket.disconnect", "code": 1001})

    def cut(self) -> None:
        """The server is gone; what it sent still comes, then the end."""
        self._down.carry(self._lost)

    def _serve(self, scope: Message) -> None:
        loop = self._client.world.loop
        task = loop.create_task(PusherConsumer()(scope, self._inbox.get, self._send))
        self.server.sockets[self] = task
        task.add_done_callback(self._ended)

    async def _send(self, message: Message) -> None:
        if self._said_goodbye:
            raise RuntimeError("send after close")
        self._said_goodbye = message["type"] == "websocket.close"
        self._down.carry(self._take, message)

    def _take(self, message: Message) -> None:
        if not self.is_open:
            return
        if message["type"] == "websocket.send":
            self._client.hear(self, json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.end()
            self._client.lose(self, message.get("code", 1000))

    def _lost(self) -> None:
        if self.is_open:
            self.is_open = False
            self._client.lose(self, 1006)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.server.sockets.pop(self, None)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._client.world.fault(f"a consumer raised {problem!r}")
        # What a server does whose application has returned.
        self._down.carry(self._lost)


class Client:
    """A user who returns until he is told to stop."""

    def __init__(self, world: World, name: str, user_id: str) -> None:
        self.world = world
        self.name = name
        self.user_id = user_id
        self.watched: tuple[str, ...] | None = None
        """Users that it wants to know of, once it has signed in; None: it does not sign in."""

        self.online: set[str] = set()
        """Those of them that it shows as online."""

        self.wanted: dict[str, None] = {}
        """Channels."""

        self._view = View(name, user_id, world.fault)
        self.socket: Socket | None = None
        self.socket_id: str | None = None
        self.is_living = True
        self._attempts = 0
        self._whispered = 0

    @property
    def shown(self) -> dict[str, Shown]:
        """What it shows."""
        return self._view.shown

    def connect(self) -> None:
        """Go to a server that takes sockets; later, if there is none."""
        if not self.is_living or self.socket is not None:
            return
        server = self.world.some_server()
        if server is None:
            self.world.loop.call_later(1.0, self.connect)
            return
        self.socket = Socket(server, self)

    def subscribe(self, channel: str) -> None:
        """Want ``channel``."""
        if channel not in self.wanted:
            self.wanted[channel] = None
            self._ask_for(channel)

    def unsubscribe(self, channel: str) -> None:
        """Want it no more."""
        self.wanted.pop(channel, None)
        self.shown.pop(channel, None)
        self._say("pusher:unsubscribe", {"channel": channel})

    def whisper(self, channel: str) -> None:
        """Send a client event."""
        if self.socket is not None and self.socket_id is not None:
            self._whispered += 1
            data = {"by": self.name, "n": self._whispered}
            frame = {"event": "client-e", "channel": channel, "data": data}
            self.socket.say({"type": "websocket.receive", "text": json.dumps(frame)})

    def leave(self, *, silently: bool = False) -> None:
        """Go for good."""
        self.is_living = False
        socket, self.socket = self.socket, None
        if socket is not None:
            socket.end(silently=silently)
        self._forget()

    def lose(self, socket: Socket, code: int) -> None:
        """The connection is gone; come back."""
        if socket is not self.socket:
            return
        self.socket = None
        self._forget()
        if 4000 <= code < 4100:
            self.world.fault(f"{self.name} was sent away with {code}")
            return
        self._attempts += 1
        pause = min(0.2 * self._attempts, 2.0) * self.world.rng.uniform(0.2, 1.0)
        self.world.loop.call_later(pause, self.connect)

    def hear(self, socket: Socket, frame: Message) -> None:
        """Take one frame."""
        if socket is not self.socket:
            return
        event, channel = frame["event"], str(frame.get("channel"))
        data: Any = frame.get("data")
        if isinstance(data, str):
            data = json.loads(data)
        if event == "pusher:connection_established":
            self.socket_id = data["socket_id"]
            self._attempts = 0
            self._sign_in()
            for wanted in self.wanted:
                self._ask_for(wanted)
        elif event == "pusher:ping":
            self._say("pusher:pong", {})
        elif event == "pusher_internal:watchlist_events":
            for told in data["events"]:
                if told["name"] == "online":
                    self.online.update(told["user_ids"])
                else:
                    self.online.difference_update(told["user_ids"])
        elif event == "pusher:subscription_error":
            self.world.loop.call_later(0.5, self._ask_again, socket, channel)
        elif channel in self.wanted:
            self._view.take(event, channel, data)

    def _sign_in(self) -> None:
        if self.watched is None or self.socket_id is None:
            return
        user_data = json.dumps({"id": self.user_id, "watchlist": self.watched})
        auth = authorization(self.world.application, user_text(self.socket_id, user_data))
        self._say("pusher:signin", {"auth": auth, "user_data": user_data})

    def _ask_again(self, socket: Socket, channel: str) -> None:
        if socket is self.socket and channel in self.wanted and channel not in self.shown:
            self._ask_for(channel)

    def _ask_for(self, channel: str) -> None:
        if self.socket_id is None:
            return
        data: dict[str, Any] = {"channel": channel}
        channel_data = None
        if kind_of(channel) is ChannelKind.PRESENCE:
            info = {"name": self.user_id}
            channel_data = json.dumps({"user_id": self.user_id, "user_info": info})
            data["channel_data"] = channel_data
        if kind_of(channel) is not ChannelKind.PUBLIC:
            text = channel_text(self.socket_id, channel, channel_data)
            data["auth"] = authorization(self.world.application, text)
        self._say("pusher:subscribe", data)

    def _say(self, event: str, data: Any) -> None:
        if self.socket is not None and self.socket_id is not None:
            text = json.dumps({"event": event, "data": data})
            self.socket.say({"type": "websocket.receive", "text": text})

    def _forget(self) -> None:
        self.socket_id = None
        self.shown.clear()
        self.online.clear()
