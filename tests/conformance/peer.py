"""A raw socket that knows what it sent and what it got, and no manners of its own.

Imports nothing of the package: what the protocol says is written down here a second time,
so that a mistake there cannot hide in a mistake here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from inspect import signature
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.live import PATIENCE, Server

Message = dict[str, Any]

QUERY = "protocol=7&client=js&version=8.6.0&flash=false"
CUT = 1006
"""What a client makes of a connection that ends without a close frame."""

OPTIONS: dict[str, Any] = {"ping_interval": None, "close_timeout": 1}
if "proxy" in signature(connect).parameters:  # from websockets 15 on
    OPTIONS["proxy"] = None


class Peer:
    """One connection to ``/app/{key}``."""

    def __init__(self, server: Server, socket: ClientConnection, key: str, secret: str) -> None:
        self.server = server
        self.socket = socket
        self.key = key
        self.secret = secret
        self.socket_id = ""
        self.polite = False
        """Whether pings of the server are answered unseen, as a real client does."""

    async def receive(self) -> Message:
        """Return the next frame, decoded."""
        async with asyncio.timeout(PATIENCE):
            frame = await self.socket.recv()
        message: Message = json.loads(frame)
        assert isinstance(message, dict)
        assert isinstance(message["event"], str)  # 48
        assert frame == json.dumps(message, separators=(",", ":"), ensure_ascii=False)  # 258
        if self.polite and message["event"] == "pusher:ping":
            await self.send("pusher:pong", {})
            return await self.receive()
        return message

    async def expect(self, event: str, channel: str | None = None) -> Any:
        """Return the data of the next frame, which must be ``event`` (of ``channel``)."""
        message = await self.receive()
        assert (message["event"], message.get("channel")) == (event, channel), message
        return message.get("data")

    async def silence(self) -> None:
        """Prove that nothing was on its way: the next frame answers a question asked now."""
        await self.send("pusher:ping", {})
        assert (await self.receive())["event"] == "pusher:pong"

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the server's close; frames before it are an error."""
        async with asyncio.timeout(PATIENCE):
            try:
                frame = await self.socket.recv()
            except ConnectionClosed as end:
                return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (CUT, "")
        raise AssertionError(f"not closed: {frame!r}")

    async def send(self, event: str, data: Any = None, **more: Any) -> None:
        """Send a frame; ``data`` of None is left out."""
        message = {"event": event, **({} if data is None else {"data": data}), **more}
        await self.text(json.dumps(message, separators=(",", ":"), ensure_ascii=False))

    async def text(self, text: str) -> None:
        await self.socket.send(text)

    def sign(self, channel: str, channel_data: str | None = None, **changes: str) -> str:
        """Return ``key:signature``; changes: key, secret, socket_id."""
        parts = [changes.get("socket_id", self.socket_id), channel]
        # The server libraries leave out empty data as well.
        text = ":".join([*parts, channel_data] if channel_data else parts)
        secret = changes.get("secret", self.secret).encode()
        digest = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return f"{changes.get('key', self.key)}:{digest}"

    async def ask(self, channel: str, **data: Any) -> None:
        """Send a subscription exactly as given."""
        await self.send("pusher:subscribe", {"channel": channel, **data})

    async def ask_signed(self, channel: str, channel_data: str | None = None) -> None:
        """Send a subscription with a good signature."""
        more = {} if channel_data is None else {"channel_data": channel_data}
        await self.ask(channel, auth=self.sign(channel, channel_data), **more)

    async def subscribe(self, channel: str) -> None:
        """Join a public or private channel."""
        if channel.startswith("private-"):
            await self.ask_signed(channel)
        else:
            await self.ask(channel, auth="")
        assert await self.expect("pusher_internal:subscription_succeeded", channel) == "{}"

    async def enter(self, channel: str, user_id: Any, info: Any = None) -> Message:
        """Join a presence channel and return its snapshot."""
        member = {"user_id": user_id, **({} if info is None else {"user_info": info})}
        await self.ask_signed(channel, json.dumps(member))
        data = json.loads(await self.expect("pusher_internal:subscription_succeeded", channel))
        snapshot: Message = data["presence"]
        return snapshot

    async def ask_signin(self, user_data: str, **changes: str) -> None:
        """Send a sign-in; see sign() for the changes."""
        # What is signed is socket_id::user::user_data, as if "" and "user" were channels.
        auth = self.sign("", f"user::{user_data}", **changes)
        await self.send("pusher:signin", {"auth": auth, "user_data": user_data})

    async def sign_in(self, user_id: str, **more: Any) -> None:
        """Become ``user_id``; more: user_info, watchlist."""
        user_data = json.dumps({"id": user_id, **more})
        await self.ask_signin(user_data)
        assert await self.expect("pusher:signin_success") == {"user_data": user_data}

    async def leave(self, channel: str) -> None:
        """Unsubscribe, and return once the server has done it."""
        await self.send("pusher:unsubscribe", {"channel": channel})
        await self.silence()

    async def expect_refusal(self, channel: str | None, code: int | None = 4009) -> Message:
        """Return the ``pusher:error`` that comes next."""
        problem: Message = await self.expect("pusher:error", channel)
        assert problem.keys() == {"message", "code"}
        assert problem["code"] == code
        assert isinstance(problem["message"], str)
        return problem

    async def expect_subscription_refusal(
        self, channel: str, kind: str = "AuthError", code: int | None = 4009
    ) -> Message:
        """Return the ``pusher:subscription_error`` that follows a ``pusher:error``."""
        await self.expect_refusal(channel, code)
        problem: Message = await self.expect("pusher:subscription_error", channel)
        assert problem["type"] == kind
        return problem


@contextlib.asynccontextmanager
async def dial(
    server: Server,
    app: str = "app",
    *,
    path: str | None = None,
    query: str = QUERY,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Peer]:
    """An open socket, nothing read yet. ``path`` replaces ``/app/{app}-key``."""
    path = f"/app/{app}-key" if path is None else path
    url = f"ws://127.0.0.1:{server.port}{path}" + (f"?{query}" if query else "")
    options = OPTIONS | options
    async with connect(url, additional_headers=headers, **options) as socket:
        yield Peer(server, socket, f"{app}-key", f"{app}-secret")


@contextlib.asynccontextmanager
async def join(server: Server, app: str = "app", **options: Any) -> AsyncIterator[Peer]:
    """An open socket that was greeted."""
    async with dial(server, app, **options) as peer:
        await greet(peer)
        yield peer


async def greet(peer: Peer) -> Message:
    """Take the greeting and return its data."""
    greeting: Message = json.loads(await peer.expect("pusher:connection_established"))
    peer.socket_id = greeting["socket_id"]
    return greeting
