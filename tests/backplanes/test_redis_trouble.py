"""Servers that talk nonsense, and nodes that hear more than a server likes to say at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.backplanes.redis_routes import OneServer
from broadcasting.broadcasters.redis import RedisBroadcaster
from tests.backplanes.contract import ENVELOPE, Inbox
from tests.conftest import Valkey


@contextlib.asynccontextmanager
async def between(valkey: Valkey, nonsense: bytes) -> AsyncIterator[str]:
    """Yield the URL of a proxy that says ``nonsense`` once, when the first topic is joined."""
    said = asyncio.Event()

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                if watched and b"subscribe" in data and not said.is_set():
                    said.set()
                    writer.write(nonsense)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, answers = await asyncio.open_unix_connection(valkey.path)
        await asyncio.gather(
            carry(reader, answers, watched=False), carry(there, writer, watched=True)
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


@pytest.mark.parametrize("nonsense", [b":abc\r\n", b"$x\r\n", b"+hello\r\n", b":7\r\n", b"*0\r\n"])
async def test_nonsense_of_a_server_does_not_make_a_node_deaf(valkey: Valkey, nonsense: bytes):
    async with between(valkey, nonsense) as url:
        backplane, inbox = RedisBackplane({"url": url, "retry_delay": 0.05}), Inbox()
        node = backplane.connect(inbox)
        await node.join("app", "first")
        await node.join(ENVELOPE.app_id, ENVELOPE.channel)
        async with asyncio.timeout(10):
            while inbox.queue.empty():
                await backplane.apublish(ENVELOPE)
                await asyncio.sleep(0.05)  # until the node is back
        assert await inbox.next() == ENVELOPE
        await node.close()


async def test_a_node_with_many_topics_comes_back_without_bursting_the_server(own_valkey: Valkey):
    """A server drops whoever is slow to read what it confirms, were it all at once."""
    client = own_valkey.server.client()
    client.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 0")
    backplane, inbox = RedisBackplane({"url": own_valkey.url, "retry_delay": 0.05}), Inbox()
    node = backplane.connect(inbox)
    await node.join("app", "c")
    many = {backplane.topic("app", f"{'x' * 150}-{number}") for number in range(30_000)}
    node._topics.update(dict.fromkeys(many))
    client.client_kill_filter(_type="pubsub")
    some = list(many)[::3000]
    async with asyncio.timeout(10):
        while {count for _, count in client.pubsub_numsub(*some)} != {1}:
            await asyncio.sleep(0.05)
    # Joins wait until the node has all that it had.
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    await backplane.apublish(ENVELOPE)
    assert await inbox.next() == ENVELOPE
    assert backplane.gaps == 1
    await node.close()


@pytest.mark.parametrize("again", [False, True])
async def test_what_is_left_while_a_node_asks_anew_is_left_at_the_server(
    own_valkey: Valkey, again: bool
):
    """Of what a line has asked for before it is open, nobody else will tell the server."""
    client = own_valkey.server.client()
    backplane = RedisBackplane({"url": own_valkey.url, "retry_delay": 0.05})
    node = backplane.connect(Inbox())
    channels = [f"c{number}" for number in range(2_500)]
    await asyncio.gather(*(node.join("app", channel) for channel in channels))
    client.client_kill_filter(_type="pubsub")
    async with asyncio.timeout(10):
        # A line that opens for the first time looks alike.
        while not node.gaps or not any(
            line.confirmed and not line.is_open for line in node._lines.values()
        ):
            await asyncio.sleep(0)
    for channel in channels:
        await node.leave("app", channel)
    if again:
        await asyncio.gather(*(node.join("app", channel) for channel in channels))
    # Joins wait until the node has all that it had.
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    topics = [backplane.topic("app", channel) for channel in channels]
    async with asyncio.timeout(10):
        while {count for _, count in client.pubsub_numsub(*topics)} != {int(again)}:
            await asyncio.sleep(0.02)
    assert node.gaps == 1
    await node.close()


class Moving(OneServer):
    """One server that goes by two addresses, one after the other."""

    where = "here"

    def address(self, topic: str) -> str:
        return self.where


async def test_what_is_found_to_have_moved_is_a_gap_until_it_is_heard_again(valkey: Valkey):
    """Its old server may say so later, or never: nobody hears it any more."""
    backplane, inbox, ended = RedisBackplane({"url": valkey.url}), Inbox(), asyncio.Event()
    node = backplane.connect(inbox, ended.set)
    routes = node._routes = Moving(backplane.server, 5)
    await node.join(ENVELOPE.app_id, ENVELOPE.channel)
    routes.where = "there"
    await node.join("app", "found out by this one")
    async with asyncio.timeout(10):
        await ended.wait()
    await backplane.apublish(ENVELOPE)
    assert await inbox.next() == ENVELOPE
    assert (node.gaps, node.problem, inbox.queue.empty()) == (1, None, True)
    await node.close()


@pytest.mark.parametrize("mark", ["/", "#", "?", "["])
@pytest.mark.parametrize("make", [RedisBackplane, RedisBroadcaster])
def test_a_password_that_makes_no_url_is_told_nobody(make: Any, mark: str):
    """What is in front of the mark would be the port."""
    with pytest.raises(ImproperlyConfigured, match="%2F") as refused:
        make({"url": f"redis://:geheim{mark}geheim@localhost/0"})
    assert "geheim" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_number_before_a_password_s_slash_is_no_port():
    with pytest.raises(ImproperlyConfigured, match="%2F"):
        RedisBackplane({"url": "redis://:1234/geheim@localhost/0"})
