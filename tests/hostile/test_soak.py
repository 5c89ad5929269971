"""Sockets that come, join, speak and go, by the ten thousand: nothing of them stays."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import live
from tests.conformance.bare import wire
from tests.conformance.publishing import publish
from tests.conformance.test_garbage import memory_of
from tests.hostile.crowds import meet, read_until

CYCLES = int(os.environ.get("BROADCASTING_SOAK_CYCLES", "50000"))
"""So many take about two minutes on two cores."""

AT_ONCE = 24
CHANNELS = 10
SAMPLES = 10

SPREAD = 6 * 1_048_576
"""Bytes that the process may be larger at the end than after the first fifth."""

LONGER_THAN_GRACE = 8
"""Half seconds in which nothing changes: 3 s after a member goes its leave is told."""

PING = wire(b'{"event":"pusher:ping"}')

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.full,
    pytest.mark.timeout(1_200),
]


@pytest.fixture(params=["uvicorn"])
def soaked(request: pytest.FixtureRequest, live_database: Path) -> Iterator[live.Server]:
    """A server of the test's own."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    with live.serving(request.param, env) as running:
        yield running


async def test_nothing_stays_of_sockets_that_come_and_go(soaked: live.Server) -> None:
    """245: memory, files and every map of the server are what they were."""
    await soak(soaked, 200)
    at_rest = await rest(soaked)
    sizes = []
    for _ in range(SAMPLES):
        await soak(soaked, CYCLES // SAMPLES)
        sizes.append(memory_of(soaked))
    assert await rest(soaked, at_rest) == at_rest
    assert sizes[-1] - sizes[SAMPLES // 5 - 1] < SPREAD, sizes


async def soak(server: live.Server, cycles: int) -> None:
    numbers = iter(range(cycles))

    async def go_on() -> None:
        for number in numbers:
            await cycle(server, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(go_on())


async def cycle(server: live.Server, number: int) -> None:
    """Connect, subscribe, publish as a client (now and then as a server), and go."""
    kind = ("private", "presence")[number % 2]
    channel = f"{kind}-soak-{number % CHANNELS}"
    peer, socket_id = await meet(server)
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(peer, subscription(channel, socket_id, number))
        await read_until(peer, b"subscription_succeeded")
        event = {"event": "client-x", "channel": channel, "data": number}
        await loop.sock_sendall(peer, wire(json.dumps(event).encode()) + PING)
        await read_until(peer, b"pusher:pong")
        if number % 50 == 0:
            await publish(server, channel, "n", str(number))
        if number % 3 == 0:  # the others just go
            await loop.sock_sendall(peer, wire((1000).to_bytes(2, "big"), 0x8))
            await read_until(peer, b"\x88")
    finally:
        peer.close()


def subscription(channel: str, socket_id: str, number: int) -> bytes:
    text, more = f"{socket_id}:{channel}", {}
    if channel.startswith("presence-"):
        member = json.dumps({"user_id": str(number % 40)})
        text, more = f"{text}:{member}", {"channel_data": member}
    digest = hmac.new(b"app-secret", text.encode(), hashlib.sha256).hexdigest()
    data = {"channel": channel, "auth": f"app-key:{digest}", **more}
    return wire(json.dumps({"event": "pusher:subscribe", "data": data}).encode())


async def rest(server: live.Server, expected: Any = None) -> Any:
    """Return what the server holds once that stays the same for a while, or is as expected."""
    last, alike = None, 0
    for _ in range(60):
        found = await asyncio.to_thread(look, server)
        alike = alike + 1 if found == last else 0
        if found == expected or (expected is None and alike == LONGER_THAN_GRACE):
            return found
        last = found
        await asyncio.sleep(0.5)  # leaves are told after a grace; nothing says that all were
    return last


def look(server: live.Server) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=live.PATIENCE)
    connection.request("GET", "/inside/")
    inside = json.loads(connection.getresponse().read())
    connection.close()
    assert server.process is not None
    held = {path: size for path, size in inside["held"].items() if size}
    return {
        "held": held,
        "tasks": inside["tasks"],
        "files": len(os.listdir(f"/proc/{server.process.pid}/fd")),
    }
