"""Clients of Redis or Valkey, however it is run: one server, Sentinel, a Cluster, or your own way.

``server_of(OPTIONS, place)`` reads what is shared by every backend that keeps something there,
and ``RedisClients(server)`` makes its clients: ``client`` for sync code in any thread, ``lend()``
and ``run()`` for the running loop. Of a Cluster these are redis-py's ``RedisCluster``, which
finds the shard of a command by its keys: those of a script belong into one slot, by a
``{hash tag}``. Knows nothing of what is said to the server.
"""

from __future__ import annotations

from broadcasting.redis_clients.clients import UNREACHABLE, RedisClients, close_client, turns
from broadcasting.redis_clients.pipelines import Pipelines, Word, Words, pipelined
from broadcasting.redis_clients.server import (
    SERVER_OPTIONS,
    URL_WANTED,
    RedisServer,
    is_url,
    server_of,
)

__all__ = [
    "SERVER_OPTIONS",
    "UNREACHABLE",
    "URL_WANTED",
    "Pipelines",
    "RedisClients",
    "RedisServer",
    "Word",
    "Words",
    "close_client",
    "is_url",
    "pipelined",
    "server_of",
    "turns",
]
