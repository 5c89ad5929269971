"""What backplanes are told by the settings, and what they let go when those change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from broadcasting import ShouldBroadcast
from broadcasting.checks.families import check_families
from tests.conftest import Valkey
from tests.live import PATIENCE


class News(ShouldBroadcast):
    def broadcast_on(self) -> str:
        return "news"


def entry(name: str, options: dict[str, Any]) -> dict[str, Any]:
    url = {"url": "redis://localhost"} if name == "redis" else {}
    return {"BACKEND": name, "OPTIONS": {**url, **options}}


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


@pytest.mark.parametrize("name", ["redis", "channel_layer"])
@pytest.mark.parametrize("option", ["join_timeout", "retry_delay"])
@pytest.mark.parametrize("value", ["5", 0, -1, None, True, float("nan")])
def test_a_duration_that_is_none_is_told_by_its_name(name: str, option: str, value: Any) -> None:
    with override_settings(BROADCASTING={"BACKPLANE": entry(name, {option: value})}):
        [problem] = [m for m in check_families() if m.id == "broadcasting.E002"]
    assert f"['OPTIONS']['{option}'] must be a number of seconds" in problem.msg


@pytest.mark.parametrize(("option", "value"), [("idle_timeout", "9"), ("prefix", None)])
def test_what_redis_alone_is_told_is_checked_too(option: str, value: Any) -> None:
    with override_settings(BROADCASTING={"BACKPLANE": entry("redis", {option: value})}):
        problem, *_ = [m for m in check_families() if m.id == "broadcasting.E002"]
    assert f"['BACKPLANE']['OPTIONS']['{option}'] must be" in problem.msg
