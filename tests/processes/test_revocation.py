"""Access that one process takes away is gone in every other."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests import live
from tests.conformance.peer import Peer, join
from tests.processes.sites import _post, dispatch, expect


async def enter(peer: Peer, channel: str, user_id: str) -> None:
    known = json.dumps({"user_id": user_id, "at": time.time_ns() // 1_000_000})
    await peer.ask_signed(channel, known)
    await peer.expect("pusher_internal:subscription_succeeded", channel)


async def ask(site: live.Server, view: str, **wish: Any) -> None:
    await asyncio.to_thread(_post, site, f"/{view}/", wish, None)


@pytest.mark.parametrize("view", ["revoke", "arevoke"])
async def test_a_user_is_out_of_a_channel_everywhere(
    crossing_server: live.Server,
    on_uvicorn: live.Server,
    on_daphne: live.Server,
    channel: str,
    view: str,
):
    private = f"private-{channel}"
    async with join(on_uvicorn) as one, join(on_daphne) as two, join(on_daphne) as other:
        await enter(one, private, "1")
        await enter(two, private, "1")
        await enter(other, private, "2")
        await ask(crossing_server, view, user="ada", channel=private)
        await dispatch(crossing_server, private, 1)
        for peer in (one, two):
            told = await peer.expect("pusher:subscription_error", private)
            assert (told["type"], told["status"]) == ("AuthError", 403)
            await peer.silence()
        await expect(other, private, 1)
        # Granted anew.
        await asyncio.to_thread(time.sleep, 0.002)
        await enter(one, private, "1")
        await dispatch(crossing_server, private, 2)
        await expect(one, private, 2)


@pytest.mark.parametrize("view", ["revoke", "arevoke"])
async def test_a_user_is_disconnected_everywhere(
    crossing_server: live.Server,
    on_uvicorn: live.Server,
    on_daphne: live.Server,
    channel: str,
    view: str,
):
    private = f"private-{channel}"
    async with join(on_uvicorn) as one, join(on_daphne) as two, join(on_daphne) as other:
        await enter(one, private, "1")
        await two.sign_in("1")
        await enter(other, private, "2")
        await ask(crossing_server, view, user="ada")
        for peer in (one, two):
            await peer.expect_refusal(None, 4009)
            assert (await peer.closed())[0] == 4009
        await other.silence()


async def test_who_is_deactivated_is_disconnected_everywhere(
    crossing_server: live.Server, on_uvicorn: live.Server, on_daphne: live.Server, channel: str
):
    async with join(on_uvicorn) as one, join(on_daphne) as two:
        await enter(one, f"private-{channel}", "1")
        await two.sign_in("1")
        await ask(crossing_server, "deactivate", user="ada", active=False)
        await ask(crossing_server, "deactivate", user="ada", active=True)
        for peer in (one, two):
            await peer.expect_refusal(None, 4200)
            assert (await peer.closed())[0] == 4200
