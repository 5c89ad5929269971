"""Where the ASGI application answers, wherever it is mounted, and what it leaves alone."""

from __future__ import annotations

import logging
import time
from hashlib import md5
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from broadcasting.asgi import get_application
from broadcasting.protocol.signing import request_text, sign
from broadcasting.testing.client import PusherClient, SocketClosed

BODY = b'{"name":"n","channel":"c","data":"{}"}'


def signed(path: str) -> bytes:
    """Return the query that a library sends with BODY to ``path``."""
    parameters = {
        "auth_key": "app-key",
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": md5(BODY, usedforsecurity=False).hexdigest(),
    }
    signature = sign("app-secret", request_text("POST", path, parameters))
    pairs = {**parameters, "auth_signature": signature}.items()
    return "&".join(f"{key}={value}" for key, value in pairs).encode()


async def post(path: str, *, query: bytes = b"", root_path: str = "") -> int:
    """Return the status of posting BODY, as a server without ``raw_path`` would ask."""
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root_path,
        "query_string": query,
        "headers": [],
    }
    await get_application()(scope, receive, send)
    status: int = answers[0]["status"]
    return status


@pytest.mark.parametrize("signed_path", ["/apps/app/events", "/site/apps/app/events"])
async def test_the_api_answers_below_a_root_path(signed_path):
    query = signed(signed_path)
    assert await post("/site/apps/app/events", query=query, root_path="/site") == 200


async def test_sockets_open_below_a_root_path():
    client = PusherClient()
    client._scope |= {"path": "/site/app/app-key", "root_path": "/site"}
    async with client:
        assert client.socket_id


async def test_sockets_follow_the_path_of_the_settings():
    moved = settings.BROADCASTING | {"SERVER": {"PATH": "/real.time+"}}
    with override_settings(BROADCASTING=moved):
        async with PusherClient() as client:
            assert client.socket_id


@pytest.mark.parametrize("path", ["/app/", "/app//", "/app/app-key//", "/app/a/b"])
async def test_a_path_that_is_nearly_a_socket_is_closed_quietly(path):
    client = PusherClient()
    client._scope["path"] = path
    with pytest.raises(SocketClosed):
        await client.aconnect()


async def test_a_path_cannot_write_lines_into_the_log(caplog):
    caplog.set_level(logging.INFO, "broadcasting.api")
    assert await post("/apps/x\nCRITICAL all is lost/events", query=b"auth_key=k") == 404
    assert "\n" not in caplog.records[-1].getMessage()
