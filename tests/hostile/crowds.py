"""Peers that mean harm, each with as little effort of its own as it takes.

Each opens one socket, does what is its kind, and returns with the socket open.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

from tests.conformance.bare import HANDSHAKE, wire
from tests.conformance.peer import Peer
from tests.live import PATIENCE, Server

Hostile = Callable[[Server, int], Awaitable[socket.socket]]
"""Opens one socket of its kind; the number tells it from the others."""

PING = wire(b'{"event":"pusher:ping"}')
STALLED = "stalled"
"""The channel of those who do not read."""


async def connect(server: Server, said: bytes = b"", window: int | None = None) -> socket.socket:
    """Return a connection on which ``said`` was sent; ``window``: bytes its kernel may keep."""
    peer = socket.socket()
    peer.setblocking(False)
    if window is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", server.port))
    await loop.sock_sendall(peer, said)
    return peer


async def read_until(peer: socket.socket, awaited: bytes) -> bytes:
    """Return what came up to ``awaited``, or (where the server hangs up first) fail."""
    received = b""
    async with asyncio.timeout(PATIENCE):
        while awaited not in received:
            part = await asyncio.get_running_loop().sock_recv(peer, 65_536)
            assert part, received
            received += part
    return received


async def open_socket(server: Server, app: str = "app", window: int | None = None) -> socket.socket:
    """Return a WebSocket that was greeted."""
    peer, _ = await meet(server, app, window)
    return peer


async def meet(
    server: Server, app: str = "app", window: int | None = None
) -> tuple[socket.socket, str]:
    """Return a WebSocket that was greeted, and its socket id."""
    handshake = HANDSHAKE.replace(b"/app/app-key", f"/app/{app}-key".encode())
    peer = await connect(server, handshake, window)
    received = await read_until(peer, b'"}')
    greeting = json.loads(received[received.index(b"{") :])
    return peer, json.loads(greeting["data"])["socket_id"]


async def say(peer: socket.socket, said: bytes) -> None:
    """Send, as much as is taken within a moment: who does not read may not be read either."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(2):
            await loop.sock_sendall(peer, said)
    except (TimeoutError, ConnectionError):
        pass


def subscription(channel: str, **more: str) -> bytes:
    """Return the frame that asks for a channel."""
    data = {"channel": channel, **more}
    return wire(json.dumps({"event": "pusher:subscribe", "data": data}).encode())


# -- before there is a socket -------------------------------------------------------------------


async def silent(server: Server, _: int) -> socket.socket:
    return await connect(server)


async def half_a_head(server: Server, _: int) -> socket.socket:
    return await connect(server, HANDSHAKE[:-2] + b"X-Long: " + b"x" * 15_000)


async def many_headers(server: Server, _: int) -> socket.socket:
    lines = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(1_000))
    return await connect(server, HANDSHAKE[:-2] + lines)


async def byte_by_byte(server: Server, _: int) -> socket.socket:
    peer = await connect(server)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in HANDSHAKE[:100]:
        await say(peer, bytes([byte]))
    return peer


async def half_a_body(server: Server, _: int) -> socket.socket:
    """As much as an event may have, without its end, and signed by nobody."""
    head = b"POST /apps/app/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    peer = await connect(server, head)
    await say(peer, b"x" * 2_000_000)
    return peer


async def pipelined(server: Server, _: int) -> socket.socket:
    """A thousand requests at once, and nobody reads the answers."""
    request = b"GET /apps/app/channels HTTP/1.1\r\nHost: x\r\n\r\n"
    peer = await connect(server, window=2_304)
    await say(peer, request * 1_000)
    return peer


# -- sockets ------------------------------------------------------------------------------------


async def idle(server: Server, _: int) -> socket.socket:
    return await open_socket(server)


async def half_a_frame(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server)
    await say(peer, wire(b"x" * 65_000)[:-1])
    return peer


async def frame_byte_by_byte(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in wire(b"x" * 1_000)[:100]:
        await say(peer, bytes([byte]))
    return peer


async def tiny_fragments(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server)
    await say(peer, wire(b"x", fin=False) + wire(b"x", 0x0, fin=False) * 5_000)
    return peer


async def empty_fragments(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server)
    await say(peer, wire(b"x", fin=False) + wire(b"", 0x0, fin=False) * 10_000)
    return peer


async def half_a_ping(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server)
    await say(peer, wire(b"x" * 125, 0x9)[:-1])
    return peer


async def asks_and_does_not_read(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server, window=2_304)
    await say(peer, PING * 20_000)
    return peer


async def nonsense_and_does_not_read(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server, window=2_304)
    await say(peer, wire(b'{"event":"' + b"x" * 200) * 5_000)
    return peer


async def pings_and_does_not_read(server: Server, _: int) -> socket.socket:
    peer = await open_socket(server, window=2_304)
    await say(peer, wire(b"x" * 125, 0x9) * 5_000)
    return peer


async def stalled(server: Server, _: int) -> socket.socket:
    """Hears a channel, and does not read."""
    peer = await open_socket(server, window=2_304)
    await say(peer, subscription(STALLED))
    await read_until(peer, b"subscription_succeeded")
    return peer


async def comes_and_goes(server: Server, number: int) -> socket.socket:
    """Subscribes and unsubscribes, without end, and does not read."""
    peer = await open_socket(server, window=2_304)
    name = f"there-and-back-{number}"
    leave = json.dumps({"event": "pusher:unsubscribe", "data": {"channel": name}})
    await say(peer, (subscription(name) + wire(leave.encode())) * 2_000)
    return peer


async def large_member(server: Server, number: int) -> socket.socket:
    """A member with as much to tell as it may have, in a channel that is full, unread."""
    peer, socket_id = await meet(server, window=2_304)
    member = json.dumps({"user_id": str(number), "user_info": {"x": "x" * 980}})
    signer = Peer(server, None, "app-key", "app-secret")  # type: ignore[arg-type]  # it only signs
    signer.socket_id = socket_id
    channel = f"presence-large-{number // 100}"
    auth = signer.sign(channel, member)
    await say(peer, subscription(channel, auth=auth, channel_data=member))
    return peer


async def whispers(server: Server, number: int) -> socket.socket:
    """Client events without end, of which most are refused, unread."""
    peer, socket_id = await meet(server, window=2_304)
    signer = Peer(server, None, "app-key", "app-secret")  # type: ignore[arg-type]  # it only signs
    signer.socket_id = socket_id
    channel = f"private-{number}"
    await say(peer, subscription(channel, auth=signer.sign(channel)))
    event = {"event": "client-x", "channel": channel, "data": "x" * 1_000}
    await say(peer, wire(json.dumps(event).encode()) * 2_000)
    return peer


async def all_names_it_may(server: Server, number: int) -> socket.socket:
    """Joins as many channels of its own as a socket may be in, under the longest names."""
    peer = await open_socket(server)
    asked = (subscription(f"{number}-{i}-".ljust(200, "x")) for i in range(200))
    await say(peer, b"".join(asked))
    # Of the last one, so that all are in.
    await read_until(peer, f'succeeded","data":"{{}}","channel":"{number}-199-'.encode())
    return peer


async def unanswered_close(server: Server, _: int) -> socket.socket:
    """Breaks the protocol, and neither reads the close nor goes."""
    peer = await open_socket(server, window=2_304)
    await say(peer, b"\xf1\xff" + bytes(60_000))
    return peer


HOSTILE: dict[str, Hostile] = {
    name: kind
    for name, kind in list(globals().items())
    if asyncio.iscoroutinefunction(kind)
    and kind.__module__ == __name__
    and name not in ("connect", "read_until", "open_socket", "meet", "say")
}
