"""What these tests publish with: the HTTP API, off the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.caller import Answer, Caller
from tests.live import Server


async def publish(
    server: Server, channels: str | list[str], name: str, data: str = "{}", **more: Any
) -> Answer:
    """Publish and return once the server says that it did."""
    answer = await asyncio.to_thread(Caller(server).trigger, channels, name, data, **more)
    assert (answer.status, answer.body) == (200, {})
    return answer
