"""The registry in Redis or Valkey, one for all nodes and every other process.

A node has its end of it (``enlist()``), which alone enters sockets. Whoever else asks does so
through the background loop of the process, whatever loop or thread it is in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Never

from broadcasting.backplanes.background import background
from broadcasting.outage import Outage
from broadcasting.protocol.protocol import Member
from broadcasting.redis_clients import RedisClients, Word
from broadcasting.registry.base import Joined, Left
from broadcasting.registry.redis_calls import RedisCalls
from broadcasting.registry.redis_node import RedisNode
from broadcasting.registry.redis_options import KNOWN_OPTIONS, read_options
from broadcasting.registry.redis_reads import RedisReads


class RedisRegistry(RedisReads):
    """``OPTIONS``: see RedisOptions."""

    known_options: ClassVar[frozenset[str] | None] = KNOWN_OPTIONS

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = read_options(options)
        clients = RedisClients(self.options.server, self.options.timeout)
        super().__init__(clients, self.options.prefix)
        outage = Outage("registry", probe_seconds=self.options.retry_delay)
        self._calls = RedisCalls(self._clients, outage, self.options.timeout)

    def enlist(self) -> RedisNode:
        return RedisNode(self.options)

    async def join(
        self,
        app_id: str,
        channel: str,
        socket_id: str,
        member: Member | None = None,
        max_members: int | None = None,
    ) -> Joined:
        _refuse()

    async def leave(self, app_id: str, channel: str, socket_id: str) -> Left:
        _refuse()

    async def connect(self, app_id: str, socket_id: str, capacity: int | None = None) -> None:
        _refuse()

    async def disconnect(self, app_id: str, socket_id: str) -> None:
        _refuse()

    async def sign_in(self, app_id: str, user_id: str, socket_id: str) -> bool:
        _refuse()

    async def sign_out(self, app_id: str, user_id: str, socket_id: str) -> bool:
        _refuse()

    async def _ask(self, app_id: str, name: str, *words: Word) -> Any:
        async def ask() -> Any:
            return await self._calls.run(self.base(app_id), name, *words)

        return await asyncio.wrap_future(background.submit(ask()))

    async def _command(self, *words: Word) -> Any:
        async def ask() -> Any:
            return await self._calls.command(*words)

        return await asyncio.wrap_future(background.submit(ask()))


def _refuse() -> Never:
    raise TypeError("Only a node enters sockets, through what enlist() returns")
