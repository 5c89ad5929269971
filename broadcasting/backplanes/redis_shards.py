"""What a Cluster's shards are told, each what is its own. By redis-py's map, not its commands.

Those look up the grammar of every command first, and try again what may have been done.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError

from broadcasting.conf import get_settings
from broadcasting.ending import end
from broadcasting.outage import Outage
from broadcasting.redis_clients import UNREACHABLE, RedisClients, turns

PARTS = 16
"""Of the slots, each of which may be down by itself. Who has them may change at any time; a shard
that is away costs a timeout for each part of its own, and the others nothing."""


async def look_again(client: Any) -> None:
    """Learn which node has which slots. Who cannot say is asked last next time."""
    nodes = client.nodes_manager
    first = next(iter(nodes.startup_nodes), None)
    try:
        await nodes.initialize()
    except BaseException:
        if first is not None:
            ask_last(client, first)
        raise


def ask_last(client: Any, name: str) -> None:
    """Ask the others first where the slots are, since ``name`` may be away without a word."""
    known = client.nodes_manager.startup_nodes
    node = known.pop(name, None)
    if node is not None:
        known[name] = node


def node_of(client: Any, topic: str) -> Any:
    """Return the primary that has ``topic``, as far as is known. Raises ConnectionError."""
    node = client.get_node_from_key(topic)
    if node is None:
        raise RedisConnectionError("no node of the Cluster has the slot of a topic")
    return node


class ShardPublisher:
    """Publishes from any loop. Whoever calls it says for how long."""

    def __init__(self, clients: RedisClients, retry_delay: float) -> None:
        self._clients = clients
        names = (f"backplane, part {part} of {PARTS}," for part in range(1, PARTS + 1))
        self._outages = [Outage(name, probe_seconds=retry_delay) for name in names]
        self._looking: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]]
        self._looking = weakref.WeakKeyDictionary()
        self._turns: weakref.WeakKeyDictionary[Any, dict[str, asyncio.Semaphore]]
        self._turns = weakref.WeakKeyDictionary()

    def outage_of(self, topic: str) -> Outage:
        """Return what knows whether the slots around that of ``topic`` are down."""
        return self._outages[key_slot(topic.encode()) * PARTS // REDIS_CLUSTER_HASH_SLOTS]

    async def publish(self, topic: str, text: str) -> None:
        """Raises RedisError or OSError."""
        client: Any
        async with self._clients.lend() as client:
            if not client.nodes_manager.slots_cache:
                await look_again(client)
            try:
                await self._say(client, topic, text)
            except MovedError:  # it was not taken, so it is not said twice
                await look_again(client)
                await self._say(client, topic, text)

    async def stop(self) -> None:
        """Look no more for what the running loop's client should know."""
        loop = asyncio.get_running_loop()
        # It stays there meanwhile, or a publish that fails would begin another.
        while (task := self._looking.get(loop)) is not None:
            if await end({task}, get_settings().publish_timeout):
                return
            if self._looking.get(loop) is task:
                del self._looking[loop]

    async def _say(self, client: Any, topic: str, text: str) -> None:
        node = None
        try:
            node = node_of(client, topic)
            async with self._turns_at(client, node):
                await node.execute_command("SPUBLISH", topic, text)
        except MovedError:
            raise
        except BaseException:  # out of time as well
            if node is not None:
                ask_last(client, node.name)
            self._look(client)
            raise

    def _turns_at(self, client: Any, node: Any) -> asyncio.Semaphore:
        """Return the turns of one node alone: those of a silent one are all taken."""
        of_client = self._turns.setdefault(client, {})
        if node.name not in of_client:
            of_client[node.name] = turns(node)
        return of_client[node.name]

    def _look(self, client: Any) -> None:
        """Look again beside what is published: who is asked may be silent, too."""
        loop = asyncio.get_running_loop()
        # Of one that is given up, nobody would close what is opened.
        if loop not in self._looking and self._clients.lends(client):
            task = self._looking[loop] = loop.create_task(_look_quietly(client))
            task.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        # It holds its loop, which may be of one publish only. Another may have taken its place.
        if self._looking.get(loop := task.get_loop()) is task:
            del self._looking[loop]


async def _look_quietly(client: Any) -> None:
    with contextlib.suppress(*UNREACHABLE):  # the next failure has it tried again
        await look_again(client)
