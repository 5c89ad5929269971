"""Two server processes, of two kinds, on one Valkey: what one is told, both deliver."""

from __future__ import annotations

import pytest

from tests import live
from tests.conformance.peer import join
from tests.conformance.publishing import publish
from tests.processes.sites import dispatch, expect


@pytest.mark.parametrize("view", ["dispatch", "adispatch"])
async def test_an_event_of_either_reaches_the_sockets_of_both(
    crossing_server: live.Server,
    on_uvicorn: live.Server,
    on_daphne: live.Server,
    channel: str,
    view: str,
):
    async with join(on_uvicorn) as one, join(on_daphne) as two:
        await one.subscribe(channel)
        await two.subscribe(channel)
        for number in (1, 2):
            await dispatch(crossing_server, channel, number, view=view)
        await expect(one, channel, 1, 2)
        await expect(two, channel, 1, 2)


async def test_the_excluded_socket_may_be_on_the_other(
    crossing_server: live.Server, on_uvicorn: live.Server, on_daphne: live.Server, channel: str
):
    async with join(on_uvicorn) as one, join(on_daphne) as two:
        await one.subscribe(channel)
        await two.subscribe(channel)
        for number, left_out in ((1, one), (2, two)):
            await dispatch(
                crossing_server, channel, number, to_others=True, socket_id=left_out.socket_id
            )
        await dispatch(crossing_server, channel, 3)
        await expect(one, channel, 2, 3)
        await expect(two, channel, 1, 3)


async def test_a_whisper_crosses(on_uvicorn: live.Server, on_daphne: live.Server, channel: str):
    private = f"private-{channel}"
    async with join(on_uvicorn) as one, join(on_daphne) as two:
        await one.subscribe(private)
        await two.subscribe(private)
        for sender, hearer in ((one, two), (two, one)):
            await sender.send("client-typing", {"name": "ada"}, channel=private)
            assert await hearer.expect("client-typing", private) == {"name": "ada"}
            await sender.silence()


async def test_what_the_api_of_one_is_told_arrives_at_the_other(
    on_uvicorn: live.Server, on_daphne: live.Server, channel: str
):
    async with join(on_daphne) as peer:
        await peer.subscribe(channel)
        await publish(on_uvicorn, channel, "news", "{}")
        assert await peer.expect("news", channel) == "{}"


async def test_what_a_cache_channel_keeps_is_known_to_both(
    crossing_server: live.Server, on_uvicorn: live.Server, on_daphne: live.Server, channel: str
):
    """Each has a registry of its own, and nobody listened when the event was sent."""
    cache = f"cache-{channel}"
    async with join(on_uvicorn) as one, join(on_daphne) as two:
        await one.subscribe(channel)
        await two.subscribe(channel)
        await dispatch(crossing_server, cache, 1)
        # What one process sends arrives in its order, so behind this one all have it.
        await dispatch(crossing_server, channel, 2)
        await expect(one, channel, 2)
        await expect(two, channel, 2)
        for peer in (one, two):
            await peer.subscribe(cache)
            await expect(peer, cache, 1)
            await peer.silence()
