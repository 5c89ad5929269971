from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from channels.layers import channel_layers
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from broadcasting.backplanes.channel_layer import ChannelLayerBackplane, group_name
from broadcasting.backplanes.envelope import encode
from broadcasting.exceptions import BackplaneUnavailable
from tests.backplanes.contract import (
    ENVELOPE,
    GRACE,
    BackplaneContract,
    Inbox,
    RemoteContract,
    check_a_frozen_server,
    check_a_refused_server,
)
from tests.conftest import PUBLISH_LIMIT, Valkey

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"


def layers(url: str, backend: str = PUBSUB, **config: Any) -> override_settings:
    return override_settings(
        CHANNEL_LAYERS={"default": {"BACKEND": backend, "CONFIG": {"hosts": [url], **config}}}
    )


@pytest.fixture
def pubsub(valkey: Valkey) -> Iterator[None]:
    with layers(valkey.url):
        yield


@pytest.fixture
def core(valkey: Valkey) -> Iterator[None]:
    with layers(valkey.url, CORE, prefix="core"):
        yield


@pytest.mark.usefixtures("pubsub")
class TestPubSub(RemoteContract):
    async def make(self) -> ChannelLayerBackplane:
        return ChannelLayerBackplane({})

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        message = {"type": "broadcasting.envelope", "envelope": text}
        await backplane.layer.group_send(group_name(app_id, channel), message)


@pytest.mark.usefixtures("core")
class TestCore(BackplaneContract):
    async def make(self) -> ChannelLayerBackplane:
        return ChannelLayerBackplane({})


async def test_a_node_hears_its_groups_for_longer_than_a_layer_keeps_them(valkey: Valkey):
    """241: the core layer forgets who joined a group after ``group_expiry``, a day by default."""
    with layers(valkey.url, CORE, prefix="expiring", group_expiry=1):
        backplane, inbox = ChannelLayerBackplane({}), Inbox()
        node = backplane.connect(inbox)
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await asyncio.sleep(2.5)  # the time itself is what is tested
        await backplane.apublish(ENVELOPE)
        assert await inbox.next() == ENVELOPE
        await node.close()


def test_group_names_fit_every_layer_and_differ_by_application_and_channel():
    names = {group_name(a, c) for a in ("app", "second") for c in ("x" * 200, "private-=@,.;")}
    assert len(names) == 4
    assert all(len(name) < 100 and name.replace(".", "").isalnum() for name in names)


def test_a_missing_alias_is_named():
    with pytest.raises(ImproperlyConfigured, match="'nope'"):
        ChannelLayerBackplane({"alias": "nope"}).publish(ENVELOPE)


@pytest.mark.usefixtures("limited")
def test_a_refused_server_costs_one_bounded_try_then_nothing(tmp_path):
    with layers(f"unix://{tmp_path}/nobody"):
        check_a_refused_server(ChannelLayerBackplane({"retry_delay": 30}))


@pytest.mark.usefixtures("limited")
async def test_a_frozen_server_holds_a_publisher_for_the_timeout_and_delivery_resumes(
    own_valkey: Valkey,
):
    with layers(own_valkey.url):
        await check_a_frozen_server(ChannelLayerBackplane({"retry_delay": 0.1}), own_valkey.pid)


class HangingLayer:
    """A layer whose server froze after the groups were joined."""

    async def new_channel(self, prefix: str) -> str:
        return prefix

    async def receive(self, channel: str) -> None:
        await asyncio.Event().wait()

    async def group_add(self, group: str, channel: str) -> None:
        """At once."""

    async def group_discard(self, group: str, channel: str) -> None:
        await asyncio.Event().wait()


async def test_a_node_leaves_a_frozen_server_after_one_timeout_however_much_it_heard():
    hanging: Any = HangingLayer()
    channel_layers.backends["default"] = hanging
    node = ChannelLayerBackplane({"join_timeout": 0.05}).connect(Inbox())
    for number in range(100):
        await node.join("app", f"c{number}")
    async with asyncio.timeout(1):
        await node.close()


class DeafReader(HangingLayer):
    """A layer whose client takes every cancellation for the end of one wait, and waits anew."""

    is_deaf = True

    async def receive(self, channel: str) -> None:
        while self.is_deaf:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def group_discard(self, group: str, channel: str) -> None:
        """At once."""


async def test_a_node_leaves_a_layer_that_never_ends_its_read_and_says_so(caplog):
    deaf: Any = DeafReader()
    channel_layers.backends["default"] = deaf
    node = ChannelLayerBackplane({"join_timeout": 0.05}).connect(Inbox())
    await node.join("app", "c")
    (reader,) = node._tasks
    await asyncio.sleep(0)  # it reads from then on
    async with asyncio.timeout(5):
        await node.close()
    assert "does not end" in caplog.text
    deaf.is_deaf = False
    reader.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({reader})


class Failing(HangingLayer):
    """A layer whose read ends with an error of its own when it is cancelled."""

    async def receive(self, channel: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("the lock is held") from None

    async def group_discard(self, group: str, channel: str) -> None:
        """At once."""


async def test_a_read_that_fails_since_the_node_leaves_is_not_tried_again():
    failing: Any = Failing()
    channel_layers.backends["default"] = failing
    node = ChannelLayerBackplane({"join_timeout": 3600, "retry_delay": 0.01}).connect(Inbox())
    await node.join("app", "c")
    await asyncio.sleep(0)  # it reads from then on
    async with asyncio.timeout(5):
        await node.close()


async def test_a_node_that_leaves_lets_the_layer_tidy_up(own_valkey: Valkey, caplog):
    """A layer's read ends its subscription, behind whatever is published meanwhile."""
    with layers(own_valkey.url):
        node = ChannelLayerBackplane({}).connect(Inbox())
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await asyncio.sleep(0)  # it reads from then on
        server = own_valkey.server.client()
        assert server.pubsub_channels()
        server.execute_command("CLIENT", "PAUSE", 600, "ALL")
        publishing = asyncio.create_task(ChannelLayerBackplane({}).layer.group_send("g", {}))
        await asyncio.sleep(0.02)  # which takes its turn meanwhile
        await node.close()
        await publishing
        assert server.pubsub_channels() == []
        assert not caplog.records


class SlowLayer(HangingLayer):
    """A layer that takes its time to join groups, and remembers who is in which."""

    group_expiry = 0.02

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.asked = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def group_add(self, group: str, channel: str) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        self.groups.add(group)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups.discard(group)


async def test_one_that_joins_while_the_node_leaves_is_told_and_left_out():
    layer: Any = SlowLayer()
    channel_layers.backends["default"] = layer
    node = ChannelLayerBackplane({}).connect(Inbox())
    joining = asyncio.create_task(node.join("app", "c"))
    await layer.asked.wait()
    await node.close()
    layer.may_go_on.set()
    with pytest.raises(BackplaneUnavailable):
        await joining
    assert layer.groups == set()


async def test_a_group_that_is_left_while_groups_are_renewed_stays_left():
    layer: Any = SlowLayer()
    channel_layers.backends["default"] = layer
    node = ChannelLayerBackplane({}).connect(Inbox())
    layer.may_go_on.set()
    for name in "ab":
        await node.join("app", name)
    layer.may_go_on.clear()
    layer.asked.clear()
    async with asyncio.timeout(5):
        await layer.asked.wait()
    for name in "ab":
        await node.leave("app", name)
    layer.may_go_on.set()
    await node.join("app", "c")
    for _ in range(4):  # once more after all that was under way
        layer.asked.clear()
        async with asyncio.timeout(5):
            await layer.asked.wait()
    assert layer.groups == {group_name("app", "c")}
    await node.close()


async def test_a_group_that_is_joined_again_while_it_is_put_right_stays_joined(monkeypatch):
    layer: Any = SlowLayer()
    channel_layers.backends["default"] = layer
    node = ChannelLayerBackplane({}).connect(Inbox())
    layer.may_go_on.set()
    await node.join("app", "a")
    layer.may_go_on.clear()
    layer.asked.clear()
    discarding, may_discard = asyncio.Event(), asyncio.Event()
    discard = layer.group_discard

    async def discard_slowly(group: str, channel: str) -> None:
        discarding.set()
        await may_discard.wait()
        await discard(group, channel)

    async with asyncio.timeout(5):
        await layer.asked.wait()  # it is renewed
        await node.leave("app", "a")
        monkeypatch.setattr(layer, "group_discard", discard_slowly)
        layer.may_go_on.set()
        await discarding.wait()  # it was left meanwhile, and renewed all the same
        await node.join("app", "a")
        may_discard.set()
        for _ in range(5):
            await asyncio.sleep(0)
    assert layer.groups == {group_name("app", "a")}
    await node.close()


@pytest.mark.usefixtures("core")
async def test_a_node_may_leave_at_any_moment(caplog):
    """redis-py swallows a cancellation that comes while a command is sent, on Python 3.11.

    The layer would go on reading for five seconds, or for good.
    """
    for turns in range(15):
        backplane, inbox = ChannelLayerBackplane({"join_timeout": 1}), Inbox()
        node = backplane.connect(inbox)
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        await backplane.apublish(ENVELOPE)
        await inbox.next()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(4):
            await node.close()
    assert "does not end" not in caplog.text


async def test_nothing_begins_to_read_for_a_node_that_left():
    hanging: Any = HangingLayer()
    channel_layers.backends["default"] = hanging
    node = ChannelLayerBackplane({}).connect(Inbox())
    await node.close()
    with pytest.raises(BackplaneUnavailable):
        await node.join("app", "late")
    assert not node._tasks


@pytest.fixture(autouse=True)
def _fresh_layers() -> Iterator[None]:
    yield
    channel_layers.backends = {}


class DeafLayer:
    """A layer whose client swallows being cancelled, as some do while they reconnect."""

    async def group_send(self, group: str, message: object) -> None:
        for _ in range(5):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)


@pytest.mark.usefixtures("limited")
async def test_a_client_that_cannot_be_cancelled_holds_nobody(monkeypatch):
    monkeypatch.setattr(ChannelLayerBackplane, "layer", DeafLayer())
    backplane = ChannelLayerBackplane({"retry_delay": 0.01})
    backplane.connect(Inbox())
    elsewhere = ChannelLayerBackplane({"retry_delay": 0.01})
    for publish in (backplane.apublish, elsewhere.apublish):
        started = time.monotonic()
        with pytest.raises(BackplaneUnavailable):
            await publish(ENVELOPE)
        assert time.monotonic() - started < PUBLISH_LIMIT + GRACE


class PollingLayer:
    """A layer whose read times out while nothing comes, or that fails at once."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.reads = 0

    async def new_channel(self, prefix: str) -> str:
        return prefix + "mine"

    async def group_add(self, group: str, channel: str) -> None:
        pass

    async def group_discard(self, group: str, channel: str) -> None:
        pass

    async def receive(self, channel: str) -> dict[str, str]:
        self.reads += 1
        await asyncio.sleep(self.patience)
        if self.reads < 3:
            raise TimeoutError("Timeout reading")
        return {"envelope": encode(ENVELOPE)}


@pytest.mark.parametrize(
    # However slow the machine: a wait is never shorter, a failure at once hardly that late.
    ("patience", "retry_delay", "gaps"),
    [(0.05, 0.01, 0), (0, 0.3, 1)],
)
async def test_a_read_that_times_out_is_silence_and_one_that_fails_at_once_is_told(
    patience, retry_delay, gaps, monkeypatch, caplog
):
    monkeypatch.setattr(ChannelLayerBackplane, "layer", PollingLayer(patience))
    inbox, ended = Inbox(), list[int]()
    backplane = ChannelLayerBackplane({"retry_delay": retry_delay})
    node = backplane.connect(inbox, lambda: ended.append(node.gaps))
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    assert await inbox.next() == ENVELOPE
    assert caplog.text.count("Cannot read") == gaps
    assert ended == [1] * gaps
    assert node.gaps == gaps
    assert node.connected
    await node.close()
