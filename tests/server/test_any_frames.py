"""Whatever a socket sends, in whatever order: it is answered, and nothing of it stays."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from django.conf import settings as django_settings
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcasting.applications import get_applications
from broadcasting.asgi import get_application
from broadcasting.server.node import get_node
from tests.protocol.test_properties import any_json, any_text, frames
from tests.server.crowd import connect, left_behind, settle

texts = any_text | any_json.map(json.dumps) | frames.map(json.dumps)
inputs = texts.map(lambda text: {"text": text}) | st.binary().map(lambda found: {"bytes": found})


async def send_all(contents: list[dict[str, Any]]) -> None:
    application = get_applications().by_id("app")
    assert application is not None
    client = await connect(get_application(), application)
    for content in contents:
        await client.socket.send_input({"type": "websocket.receive", **content})
    await settle()
    client.read()
    node = get_node()
    assert node.counters.failures == 0
    if client.closed is None:
        # Each was answered, or there was nothing to say to it.
        before = len(client.frames)
        await client.send("pusher:ping", {})
        await settle()
        client.read()
        assert client.frames[before:] == ['{"event":"pusher:pong","data":"{}"}']
    else:
        assert any("bytes" in content for content in contents)
    await client.hang_up()
    await settle()
    assert client.gone
    assert left_behind(node) == {}


@given(st.lists(inputs, max_size=20))
@settings(deadline=None)
def test_any_frames_are_answered(contents: list[dict[str, Any]]) -> None:
    """37-40, 42."""
    # A registry of its own, where no other test has left anybody.
    with override_settings(BROADCASTING={**django_settings.BROADCASTING}):
        asyncio.run(send_all(contents))
