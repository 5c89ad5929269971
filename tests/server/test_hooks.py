"""Signals and handlers of client events in a server process that runs."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from tests import live
from tests.conformance.peer import Peer, join
from tests.live import Server


async def expect(peer: Peer, channel: str, number: int) -> None:
    data = await peer.expect("Happened", channel)
    assert data == f'{{"number":{number}}}'


async def test_receivers_and_handlers_may_broadcast(server: Server) -> None:
    """244."""
    channel = f"private-echo.{uuid4().hex}"
    async with join(server) as ada:
        await ada.subscribe(channel)
        await expect(ada, channel, 0)
        await ada.send("client-fail", {}, channel=channel)
        for number in range(1, 4):
            await ada.send("client-number", {"number": number}, channel=channel)
            await expect(ada, channel, number)
    await asyncio.to_thread(live.wait_for_line, server.log, "fail failed with client-fail")
