"""How these tests talk to a site: plain requests, off the event loop."""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.conformance.peer import Peer
from tests.live import PATIENCE, Server


@dataclass(frozen=True)
class Answer:
    """What a view that dispatched says about it."""

    seconds: float
    """How long the dispatch, with its commit, held the view."""

    error: str | None
    """The name of the exception that it saw."""


async def dispatch(
    site: Server,
    channel: str,
    number: int,
    *,
    view: str = "dispatch",
    socket_id: str | None = None,
    **wish: Any,
) -> Answer:
    """Have a view dispatch ``Happened(channel, number)``; see tests/liveapp/views.py."""
    body = {"channel": channel, "number": number, **wish}
    return Answer(**await asyncio.to_thread(_post, site, f"/{view}/", body, socket_id))


async def ask(site: Server, view: str, **wish: Any) -> Any:
    """Return what a view that takes and answers JSON says."""
    return await asyncio.to_thread(_post, site, f"/{view}/", wish, None)


async def expect(peer: Peer, channel: str, *numbers: int) -> None:
    """Prove that the next frames are these events."""
    for number in numbers:
        data = await peer.expect("Happened", channel)
        assert json.loads(data) == {"number": number}


def _post(site: Server, path: str, body: Any, socket_id: str | None) -> Any:
    headers = {"Content-Type": "application/json"}
    if socket_id is not None:
        headers["X-Socket-ID"] = socket_id
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, text
        return json.loads(text)
    finally:
        connection.close()
