"""A Valkey that refuses or stands still, what that may cost, and when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager

from tests import live
from tests.conformance.peer import Peer, dial
from tests.conftest import Valkey
from tests.processes.sites import dispatch

TIMEOUT = 0.6
"""Seconds for a publish: more than a busy machine holds anybody."""

HELD = 2 * TIMEOUT
"""Seconds that a request may be held by a broker or backplane that is dead."""

AT_ONCE = 0.8 * TIMEOUT
"""Nobody who took that long has waited for an answer."""

RESUMED = 15.0
"""Seconds within which delivery must be back; a worker alone may wait for more than four."""

Outage = Callable[[Valkey], AbstractContextManager[None]]


@contextlib.contextmanager
def refused(valkey: Valkey) -> Iterator[None]:
    valkey.server.stop()
    try:
        yield
    finally:
        valkey.server.start()


@contextlib.asynccontextmanager
async def returning(server: live.Server, app: str = "app") -> AsyncIterator[Peer]:
    """A socket that tries until it is taken in, as all clients do: an outage may end just now."""
    deadline = asyncio.get_running_loop().time() + RESUMED
    while True:
        async with dial(server, app) as peer:
            greeting = await peer.receive()
            if greeting["event"] == "pusher:connection_established":
                peer.socket_id = json.loads(greeting["data"])["socket_id"]
                yield peer
                return
        assert asyncio.get_running_loop().time() < deadline, greeting
        await asyncio.sleep(0.1)  # nothing announces that the server tries again


async def resumed(site: live.Server, peer: Peer, channel: str, first: int = 1_000) -> list[int]:
    """Return once something dispatched from now on has arrived on the socket that stayed.

    What a frozen Valkey was told before, it may do when it wakes up: the numbers of that.
    """
    before: list[int] = []
    async with asyncio.timeout(RESUMED):
        trying = asyncio.create_task(keep_dispatching(site, channel, first))
        try:
            while (number := await numbered(peer)) < first:
                before.append(number)
        finally:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
    return before


async def numbered(peer: Peer) -> int:
    """Return the number of the next event."""
    number: int = json.loads((await peer.receive())["data"])["number"]
    return number


async def keep_dispatching(site: live.Server, channel: str, number: int) -> None:
    while True:
        await dispatch(site, channel, number)
        number += 1
        await asyncio.sleep(0.05)  # nothing announces that another process tries again
