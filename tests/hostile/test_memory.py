"""What hostile sockets cost: less than 200 KB each, nobody else's events, and nothing later."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.conformance.peer import Peer, join
from tests.conformance.publishing import publish
from tests.conformance.test_garbage import memory_of
from tests.hostile import crowds

CROWD = 150
AT_ONCE = 30
"""How many of them are at it in the same moment."""

BOUND = 200 * 1_024
"""Bytes above idle that the server may take for each."""

QUICK = ("half_a_head", "pipelined", "half_a_frame", "stalled")
SLOW_LANE = ("asks_and_does_not_read", "stalled", "half_a_frame", "comes_and_goes")

CASES = [
    *(pytest.param("uvicorn", kind) for kind in QUICK),
    *(
        pytest.param("uvicorn", kind, marks=pytest.mark.full)
        for kind in crowds.HOSTILE
        if kind not in QUICK
    ),
    *(pytest.param("uvicorn-slow-lane", kind, marks=pytest.mark.full) for kind in SLOW_LANE),
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def fresh(way: live.Way, live_database: Path) -> Iterator[live.Server]:
    """A server that has no memory left over from others."""
    with live.serving(way, {"BROADCASTING_TEST_DATABASE": str(live_database)}) as running:
        yield running


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(("way", "kind"), CASES)
async def test_each_costs_little(fresh: live.Server, kind: str) -> None:
    async with join(fresh) as honest:
        honest.polite = True
        await honest.subscribe("calm")
        await be_served(fresh, honest, 30)  # whatever the first events need is not the crowd's
        before = memory_of(fresh)
        async with contextlib.AsyncExitStack() as stack:
            await gather(stack, fresh, kind)
            peak = memory_of(fresh)
            if kind == "stalled":
                for _ in range(120):
                    await publish(fresh, crowds.STALLED, "n", "x" * 10_000)
            for _ in range(5):
                await be_served(fresh, honest, 5)
                peak = max(peak, memory_of(fresh))
        assert (peak - before) / CROWD < BOUND
        await be_served(fresh, honest, 5)
    async with join(fresh) as newcomer:
        await newcomer.silence()


async def gather(stack: contextlib.AsyncExitStack, server: live.Server, kind: str) -> None:
    """Let the whole crowd come."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def come(number: int) -> None:
        async with turn:
            stack.callback((await crowds.HOSTILE[kind](server, number)).close)

    await asyncio.gather(*(come(number) for number in range(CROWD)))


async def be_served(server: live.Server, honest: Peer, times: int) -> None:
    for number in range(times):
        data = json.dumps(number)
        await publish(server, "calm", "n", data)
        assert await honest.expect("n", "calm") == data
