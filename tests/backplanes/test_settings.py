"""What holds connections to Redis lets them go when the settings change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from broadcasting import ShouldBroadcast
from tests.conftest import Valkey
from tests.live import PATIENCE


class News(ShouldBroadcast):
    def broadcast_on(self) -> str:
        return "news"


def driver(url: str) -> dict[str, Any]:
    return {"BROADCASTERS": {"default": {"BACKEND": "redis", "OPTIONS": {"url": url}}}}


def backplane(url: str) -> dict[str, Any]:
    return {"BACKPLANE": {"BACKEND": "redis", "OPTIONS": {"url": url}}}


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("settings_of", [driver, backplane])
async def test_connections_end_with_the_settings_they_were_made_for(
    own_valkey: Valkey, settings_of: Callable[[str], dict[str, Any]], colour: str
) -> None:
    """App 24: Redis, as a driver and as the backplane."""
    event = News().now()
    asking = own_valkey.server.client()
    before = len(asking.client_list())
    with override_settings(BROADCASTING=settings_of(own_valkey.url)):
        await (event.adispatch() if colour == "async" else sync_to_async(event.dispatch)())
        assert len(asking.client_list()) > before
    async with asyncio.timeout(PATIENCE):
        while len(asking.client_list()) > before:
            await asyncio.sleep(0.01)  # another thread closes them, another process notices
