"""The two requests that Pusher documents with their signatures, sent at the second they name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import override_settings

from broadcasting.asgi import get_application

APPLICATION = {"id": "3", "key": "278d425bdf160c739803", "secret": "7ad3773142a6692b25b8"}
BODY = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
THEN = 1353088179

POST = (
    f"body_md5=ec365a775a4cd0599faeb73354201b6f&auth_version=1.0&auth_key={APPLICATION['key']}"
    f"&auth_timestamp={THEN}"
    "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
)
GET = (
    f"auth_version=1.0&auth_key={APPLICATION['key']}&auth_timestamp={THEN}"
    "&filter_by_prefix=presence-&info=user_count"
    "&auth_signature=16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291"
)


async def status_of(method: str, path: str, query: str, body: bytes) -> int:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    await get_application()(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [("POST", "/apps/3/events", POST, BODY), ("GET", "/apps/3/channels", GET, b"")],
)
async def test_a_documented_request_is_taken(
    method: str, path: str, query: str, body: bytes
) -> None:
    """164."""
    with override_settings(BROADCASTING={"APPLICATIONS": [APPLICATION]}):
        for seconds, expected in ((0, 200), (599, 200), (601, 401)):
            now = datetime.fromtimestamp(THEN + seconds, UTC)
            with time_machine.travel(now, tick=False):
                assert await status_of(method, path, query, body) == expected
