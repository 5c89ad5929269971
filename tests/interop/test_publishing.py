"""Programs that publish to Pusher publish to this server (196)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.conformance.peer import Peer, join
from tests.interop.conftest import Connect
from tests.interop.sdks import Refused
from tests.live import Server

DIGITS = "digits"


@pytest.mark.parametrize(
    "data",
    [
        {"a": 1, "b": [None, True, "x"]},
        "just text",
        {"name": 'Zoë 😀 \u2028 "quoted" \\', "nested": {"日本": "語"}},
    ],
)
async def test_an_event_arrives(server: Server, sdk: Connect, data: Any) -> None:
    async with join(server, DIGITS) as peer:
        await peer.subscribe("c")
        assert await asyncio.to_thread(sdk().trigger, "c", "App\\Events\\It", data) == {}
        text = await peer.expect("App\\Events\\It", "c")
        assert (text if isinstance(data, str) else json.loads(text)) == data


async def test_a_private_channel_is_a_name_like_any(server: Server, sdk: Connect) -> None:
    async with join(server, DIGITS) as peer:
        await peer.subscribe("private-App.Models.User.1")
        await asyncio.to_thread(sdk().trigger, "private-App.Models.User.1", "n", {})
        assert await peer.expect("n", "private-App.Models.User.1") == "{}"


async def test_many_channels(server: Server, sdk: Connect) -> None:
    async with join(server, DIGITS) as peer:
        for channel in ("c-0", "c-99"):
            await peer.subscribe(channel)
        names = [f"c-{n}" for n in range(100)]
        await asyncio.to_thread(sdk().trigger, names, "n", {})
        await peer.expect("n", "c-0")
        await peer.expect("n", "c-99")
        await peer.silence()


async def test_the_socket_that_asked_is_spared(server: Server, sdk: Connect) -> None:
    async with join(server, DIGITS) as ada, join(server, DIGITS) as bob:
        await ada.subscribe("c")
        await bob.subscribe("c")
        await asyncio.to_thread(sdk().trigger, "c", "n", {}, ada.socket_id)
        await bob.expect("n", "c")
        await ada.silence()


async def test_a_batch(server: Server, sdk: Connect) -> None:
    async with join(server, DIGITS) as ada, join(server, DIGITS) as bob:
        await ada.subscribe("c")
        await bob.subscribe("c")
        batch = [{"channel": "c", "name": "n", "data": {"n": n}} for n in range(9)]
        batch.append({"channel": "c", "name": "n", "data": "é", "socket_id": ada.socket_id})
        assert await asyncio.to_thread(sdk().trigger_batch, batch) == {}
        for peer in (ada, bob):
            for n in range(9):
                assert json.loads(await peer.expect("n", "c")) == {"n": n}
        assert await bob.expect("n", "c") == "é"
        await ada.silence()


async def test_refusals_surface(server: Server, sdk: Connect) -> None:
    """166, 169, 183, 184, 186, 198: what the server says is what the program gets to see."""
    eleven = [{"channel": "c", "name": "n", "data": "{}"} for _ in range(11)]
    async with join(server, DIGITS) as peer:
        await peer.subscribe("c")
        with refusal(413, "10 KB"):
            await asyncio.to_thread(sdk().trigger, "c", "n", "x" * 10_241)
        with refusal(400, "pusher_internal:"):
            await asyncio.to_thread(sdk().trigger, "c", "pusher_internal:member_added", {})
        with refusal(400, "10 events"):
            await asyncio.to_thread(sdk().trigger_batch, eleven)
        with refusal(401, "Invalid signature"):
            await asyncio.to_thread(sdk(secret="wrong").trigger, "c", "n", {})
        with refusal(401, "auth_key"):
            await asyncio.to_thread(sdk(key="app-key").trigger, "c", "n", {})
        with refusal(404, "Unknown application"):
            await asyncio.to_thread(sdk(app_id="404").trigger, "c", "n", {})
        off = sdk(app_id="1002", key="off-key", secret="off-secret")
        with refusal(403, "disabled"):
            await asyncio.to_thread(off.trigger, "c", "n", {})
        await peer.silence()
        await expect_the_largest(peer, sdk)


def refusal(status: int, text: str) -> contextlib.AbstractContextManager[Any]:
    return pytest.raises(Refused, match=f"^{status} .*{text}")


async def expect_the_largest(peer: Peer, sdk: Connect) -> None:
    await asyncio.to_thread(sdk().trigger, "c", "n", "x" * 10_240)
    assert len(await peer.expect("n", "c")) == 10_240
