"""One application at Ably's REST API, and what it is sent."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from broadcasting.broadcasters.ably.names import AblyKey, ably_name
from broadcasting.broadcasters.http import HttpClient
from broadcasting.socket_ids import read_ably_id

if TYPE_CHECKING:
    import httpx2

    from broadcasting.broadcasts import Broadcast

logger = logging.getLogger("broadcasting.broadcasters")

VERSION = "2"
"""Of the API: the one whose batches fail as a whole when one channel does."""

MAX_CHANNELS = 100
"""Channels that one request may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A POST to Ably."""

    path: str
    content: dict[str, Any]


class Client(HttpClient[Request]):
    """Sends requests with one key."""

    def __init__(self, key: AblyKey, base_url: str, timeout: float) -> None:
        super().__init__(base_url, timeout)
        self.key = key

    def build(self, client: httpx2.Client | httpx2.AsyncClient, request: Request) -> httpx2.Request:
        credentials = base64.b64encode(f"{self.key.name}:{self.key.secret}".encode()).decode()
        return client.build_request(
            "POST",
            f"{self.base_url}{request.path}",
            content=json.dumps(request.content).encode(),
            headers={
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/json",
                "X-Ably-Version": VERSION,
            },
        )


def requests(broadcast: Broadcast) -> Iterator[Request]:
    """Yield what sends ``broadcast``: one request, or one for each hundred channels."""
    message = _message(broadcast)
    names = [ably_name(channel) for channel in broadcast.channels]
    # Batches are not documented to know the connection that is left out.
    if len(names) == 1 or "connectionKey" in message:
        for name in names:
            yield Request(path=f"/channels/{quote(name, safe='')}/messages", content=message)
        return
    for start in range(0, len(names), MAX_CHANNELS):
        some = names[start : start + MAX_CHANNELS]
        yield Request(path="/messages", content={"channels": some, "messages": message})


def _message(broadcast: Broadcast) -> dict[str, Any]:
    message: dict[str, Any] = {
        # Ably drops what it had already, so that an attempt after a timeout repeats nothing.
        "id": broadcast.id,
        "name": broadcast.name,
        "data": broadcast.data,
        "encoding": "json",
    }
    if broadcast.except_socket is None:
        return message
    socket = read_ably_id(broadcast.except_socket)
    if socket is None:
        logger.debug("Ignored a malformed socket id of %s", broadcast.event_label)
        return message
    message["connectionKey"] = socket.connection_key
    if socket.client_id is not None:
        message["clientId"] = socket.client_id
    return message
