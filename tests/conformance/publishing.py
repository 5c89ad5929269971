"""What these tests publish and look up with: the HTTP API, off the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.caller import Answer, Caller
from tests.live import Server


def caller(server: Server, app: str = "app") -> Caller:
    """Return a caller with an application's own credentials."""
    return Caller(server, app, f"{app}-key", f"{app}-secret")


async def publish(
    server: Server,
    channels: str | list[str],
    name: str,
    data: str = "{}",
    *,
    app: str = "app",
    **more: Any,
) -> Answer:
    """Publish and return once the server says that it did."""
    trigger = caller(server, app).trigger
    answer = await asyncio.to_thread(trigger, channels, name, data, **more)
    assert (answer.status, answer.body) == (200, {})
    return answer


async def look_up(server: Server, resource: str, app: str = "app", **query: str) -> Any:
    """Return what the HTTP API says of ``resource``."""
    asking = caller(server, app)
    path = asking.path(resource)
    pairs = asking.sign("GET", path, extra=query)
    answer = await asyncio.to_thread(asking.send, "GET", path, pairs)
    assert answer.status == 200, answer
    return answer.body


async def terminate(server: Server, user_id: str, app: str = "app") -> None:
    """End the connections of a user."""
    resource = f"users/{user_id}/terminate_connections"
    answer = await asyncio.to_thread(caller(server, app).post, b"", resource)
    assert (answer.status, answer.body) == (200, {})
