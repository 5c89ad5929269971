from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.exceptions import BackplaneUnavailable
from tests.backplanes.contract import (
    ENVELOPE,
    Inbox,
    RemoteContract,
    check_a_frozen_server,
    check_a_refused_server,
    check_both_colours,
    published,
)
from tests.conftest import Valkey


class TestRedis(RemoteContract):
    @pytest.fixture(autouse=True)
    def _server(self, valkey: Valkey) -> None:
        self.url = valkey.url

    async def make(self, **options: Any) -> RedisBackplane:
        return RedisBackplane({"url": self.url, "prefix": "contract", **options})

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        topic = backplane.topic(app_id, channel)
        await asyncio.to_thread(Redis.from_url(self.url).publish, topic, text)

    async def test_sites_with_prefixes_of_their_own_never_meet(self):
        mine, theirs, inbox = await self.make(), await self.make(prefix="other"), Inbox()
        node = mine.connect(inbox)
        await node.join("app", "c")
        await theirs.apublish(Envelope(app_id="app", channel="c", frame="theirs"))
        await mine.apublish(Envelope(app_id="app", channel="c", frame="mine"))
        assert (await inbox.next()).frame == "mine"
        await node.close()

    async def test_what_one_envelope_does_never_stops_the_others(self, caplog):
        backplane, inbox = await self.make(), Inbox()

        def receive(envelope: Envelope) -> None:
            if envelope.frame == "bad":
                raise ValueError("broken node")
            inbox(envelope)

        node = backplane.connect(receive)
        await node.join("app", "c")
        for frame in ("bad", "good"):
            await backplane.apublish(Envelope(app_id="app", channel="c", frame=frame))
        assert (await inbox.next()).frame == "good"
        assert "broken node" in caplog.text
        await node.close()

    async def test_a_node_that_hears_nothing_asks_whether_the_server_is_there(self):
        backplane, inbox = await self.make(idle_timeout=0.05), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "c")
        await asyncio.sleep(0.3)  # several silences long
        await backplane.apublish(Envelope(app_id="app", channel="c", frame="still"))
        assert (await inbox.next()).frame == "still"
        assert backplane.gaps == 0
        await node.close()

    async def test_a_topic_that_is_left_and_joined_again_at_once_is_no_gap(self):
        backplane, inbox = await self.make(), Inbox()
        told: list[None] = []
        node = backplane.connect(inbox, lambda: told.append(None))
        await node.join("app", "c")
        for number in range(20):
            for _ in range(number % 3 + 1):
                await node.leave("app", "c")
                await node.join("app", "c")
            await backplane.apublish(Envelope(app_id="app", channel="c", frame=str(number)))
            assert (await inbox.next()).frame == str(number)
        assert (backplane.gaps, told, node.problem) == (0, [], None)
        await node.close()

    async def test_a_node_that_left_can_join_nothing(self):
        node = (await self.make()).connect(Inbox())
        await node.close()
        with pytest.raises(BackplaneUnavailable):
            await node.join("app", "late")


def test_topics_of_different_applications_are_never_the_same():
    backplane = RedisBackplane({"url": "redis://localhost"})
    topics = {
        backplane.topic("a", "#server-to-user-b:c"),
        backplane.topic("a:#server-to-user-b", "c"),
        backplane.topic("a:b", "c"),
        backplane.topic("a%3Ab", "c"),
    }
    assert len(topics) == 4


@pytest.mark.parametrize("option", ["protocol=3", "decode_responses=True"])
async def test_what_a_url_says_of_answers_makes_no_node_deaf(valkey: Valkey, option: str):
    await check_both_colours(RedisBackplane({"url": f"{valkey.url}?{option}"}))


@pytest.mark.parametrize(
    "url",
    [
        *(None, 6379, "localhost", "http://localhost"),
        *("redis://localhost?no_such=option", "redis://localhost?ssl_cert_reqs=none"),
        "rediss://localhost?ssl_cert_reqs=perhaps",
    ],
)
def test_a_wrong_url_is_refused_with_its_place(url):
    with pytest.raises(ImproperlyConfigured, match=r"\['OPTIONS'\]\['url'\]"):
        RedisBackplane({"url": url})


@pytest.mark.usefixtures("limited")
def test_a_refused_server_costs_one_bounded_try_then_nothing_and_no_secret_is_told(tmp_path):
    url = f"unix://user:geheim@{tmp_path}/nobody"
    said = check_a_refused_server(RedisBackplane({"url": url, "retry_delay": 30}))
    assert "geheim" not in said


@pytest.mark.usefixtures("limited")
async def test_a_frozen_server_holds_a_publisher_for_the_timeout_and_delivery_resumes(
    own_valkey: Valkey,
):
    backplane = RedisBackplane({"url": own_valkey.url, "retry_delay": 0.1})
    await check_a_frozen_server(backplane, own_valkey.pid)


async def test_subscriptions_survive_a_lost_connection_and_the_gap_is_counted(own_valkey: Valkey):
    backplane, inbox = RedisBackplane({"url": own_valkey.url, "retry_delay": 0.05}), Inbox()
    node = backplane.connect(inbox)
    for number in range(3):
        await node.join("app", f"c{number}")
    await asyncio.to_thread(
        Redis.from_url(own_valkey.url).execute_command, "CLIENT", "KILL", "TYPE", "pubsub"
    )
    # Joins wait for the new connection.
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    assert backplane.gaps == 1
    for number in range(3):
        await backplane.apublish(Envelope(app_id="app", channel=f"c{number}", frame="after"))
        assert (await inbox.next()).channel == f"c{number}"
    await node.close()


async def test_a_server_that_falls_silent_is_noticed(own_valkey: Valkey):
    options = {"idle_timeout": 0.05, "retry_delay": 0.05, "join_timeout": 0.2}
    backplane, inbox = RedisBackplane({"url": own_valkey.url, **options}), Inbox()
    node = backplane.connect(inbox)
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    pid = own_valkey.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            while backplane.gaps == 0:
                await asyncio.sleep(0.01)
        with pytest.raises(BackplaneUnavailable):
            await node.join("app", "meanwhile")
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while inbox.queue.empty():
            await published(backplane)
            await asyncio.sleep(0.05)
    await node.close()
