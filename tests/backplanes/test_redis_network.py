"""Networks that are slow, cut or gone between a node and its server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.backplanes.redis_subscription import RedisSubscription
from broadcasting.exceptions import BackplaneUnavailable
from tests.backplanes.contract import ENVELOPE, Inbox, published
from tests.conftest import Valkey
from tests.tcp_proxy import TcpProxy

QUICK = {"retry_delay": 0.1, "idle_timeout": 0.2, "join_timeout": 0.5}
CHANNELS = [f"c{number}" for number in range(50)]


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[TcpProxy]:
    with TcpProxy(valkey.path) as proxy:
        yield proxy


class Node:
    """One that is connected through the proxy, beside a publisher that is not."""

    def __init__(self, valkey: Valkey, proxy: TcpProxy, **options: Any) -> None:
        self.near = RedisBackplane({"url": valkey.url, "prefix": "network"})
        url = f"redis://127.0.0.1:{proxy.port}"
        self.far = RedisBackplane({"url": url, "prefix": "network", **QUICK, **options})
        self.inbox = Inbox()
        self.ended = asyncio.Event()
        self.subscription: RedisSubscription = self.far.connect(self.inbox, self.ended.set)

    async def join_all(self) -> None:
        for channel in CHANNELS:
            await self.subscription.join("app", channel)

    async def hears_all_once(self) -> None:
        for number, channel in enumerate(CHANNELS):
            for frame in (f"{number}a", f"{number}b"):
                await self.near.apublish(Envelope(app_id="app", channel=channel, frame=frame))
        frames = [(await self.inbox.next()).frame for _ in range(2 * len(CHANNELS))]
        assert frames == [f"{number}{x}" for number in range(len(CHANNELS)) for x in "ab"]
        assert self.inbox.queue.empty()

    async def until_lost(self) -> None:
        async with asyncio.timeout(10):
            while self.subscription.connected:
                await asyncio.sleep(0.01)

    async def until_mended(self) -> None:
        async with asyncio.timeout(10):
            await self.ended.wait()
        assert self.subscription.connected
        assert self.subscription.problem is None

    async def close(self) -> None:
        await self.subscription.close()
        await self.near.release()


async def test_a_reset_is_a_gap_that_is_told_once_with_its_length(
    valkey: Valkey, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(valkey, proxy)
    await node.join_all()
    assert (node.subscription.gaps, node.subscription.connected) == (0, True)
    proxy.refuse()
    await node.until_lost()
    assert node.subscription.problem
    attempts = proxy.accepted
    async with asyncio.timeout(10):
        while proxy.accepted < attempts + 3:  # they fail
            await asyncio.sleep(0.01)
    proxy.heal()
    await node.until_mended()
    assert node.subscription.gaps == 1
    said = [r.getMessage() for r in caplog.records if r.name == "broadcasting.backplane"]
    assert len(said) == 2
    assert "lost what 50 channels are told" in said[0]
    assert " s in which envelopes may be lost" in said[1]
    await node.hears_all_once()
    await node.close()


@pytest.mark.parametrize("fault", ["drop", "pause"])
async def test_a_partition_that_nobody_is_told_of_is_found_out(
    valkey: Valkey, proxy: TcpProxy, fault: str
) -> None:
    node = Node(valkey, proxy)
    await node.join_all()
    getattr(proxy, fault)()
    await node.until_lost()
    with pytest.raises(BackplaneUnavailable):
        await node.subscription.join("app", "meanwhile")
    with pytest.raises(BackplaneUnavailable):
        await asyncio.to_thread(node.far.publish, ENVELOPE)
    proxy.heal()
    await node.until_mended()
    assert node.subscription.gaps == 1
    await node.hears_all_once()
    await node.close()


async def test_a_slow_network_is_no_gap(valkey: Valkey, proxy: TcpProxy) -> None:
    node = Node(valkey, proxy, join_timeout=10)
    proxy.delay(0.1)
    await asyncio.gather(*(node.subscription.join("app", channel) for channel in CHANNELS))
    await asyncio.sleep(1)  # some silences, and what is asked after them
    await node.hears_all_once()
    assert node.subscription.gaps == 0
    await node.close()


async def test_channels_that_come_and_go_during_a_gap_are_right_after_it(
    valkey: Valkey, proxy: TcpProxy
) -> None:
    node = Node(valkey, proxy, join_timeout=10)
    await node.join_all()
    proxy.refuse()
    await node.until_lost()
    await node.subscription.leave("app", "c0")
    joining = asyncio.create_task(node.subscription.join("app", "new"))
    await asyncio.sleep(0)
    proxy.heal()
    await joining
    await node.until_mended()
    for channel in ("c0", "new", "c1"):
        await node.near.apublish(Envelope(app_id="app", channel=channel, frame=channel))
    assert [(await node.inbox.next()).frame for _ in range(2)] == ["new", "c1"]
    await node.close()


async def test_many_cuts_lose_what_falls_into_them_and_double_nothing(
    valkey: Valkey, proxy: TcpProxy
) -> None:
    node = Node(valkey, proxy, retry_delay=0.02)
    await node.subscription.join("app", "c")
    stop = asyncio.Event()

    async def cut() -> None:
        for _ in range(5):
            await asyncio.sleep(0.05)
            node.ended.clear()
            proxy.cut()
            await node.until_mended()
        stop.set()

    cutting, sent = asyncio.create_task(cut()), 0
    while not stop.is_set():
        await node.near.apublish(Envelope(app_id="app", channel="c", frame=str(sent)))
        sent += 1
        await asyncio.sleep(0.001)
    await cutting
    await published(node.near, Envelope(app_id="app", channel="c", frame="end"))
    frames = []
    while (frame := (await node.inbox.next()).frame) != "end":
        frames.append(int(frame))
    assert frames == sorted(set(frames))
    assert node.subscription.gaps == 5
    await node.close()


async def test_a_node_that_cannot_be_told_of_the_end_hears_on(
    valkey: Valkey, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    node = Node(valkey, proxy)

    def fail() -> None:
        node.ended.set()
        raise ValueError("broken node")

    node.subscription._on_gap = fail
    await node.join_all()
    proxy.cut()
    await node.until_mended()
    await node.hears_all_once()
    assert "broken node" in caplog.text
    await node.close()


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_what_is_said_first_after_an_outage_is_heard(valkey: Valkey, how: str) -> None:
    """The connection that was kept for it is not there any more."""
    with TcpProxy(valkey.path) as proxy:
        node = Node(valkey, proxy)
        await node.subscription.join("app", "c")
        await node.far.apublish(Envelope(app_id="app", channel="c", frame="before"))
        assert (await node.inbox.next()).frame == "before"
        if how == "reset":
            proxy.cut()
        else:
            proxy.hang_up()
        await node.until_mended()
        await node.far.apublish(Envelope(app_id="app", channel="c", frame="after"))
        assert (await node.inbox.next()).frame == "after"
        await node.subscription.close()
