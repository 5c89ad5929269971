"""The redis registry on a real server: what every registry promises, and what shared ones do."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broadcasting.exceptions import RegistryUnavailable
from broadcasting.registry import Enlisted
from broadcasting.registry.redis import RedisRegistry
from broadcasting.registry.redis_node import RedisNode
from tests.conftest import Valkey
from tests.floor.lease_contract import LeaseContract, SharedStore
from tests.floor.registry_contract import RegistryContract

REDIS_PAGE = Path(__file__).parents[2] / "docs" / "howto" / "redis.md"

numbers = itertools.count()


class RedisStore(SharedStore):
    """Leases last as long as in production: tests turn the clock by turning what is kept."""

    def __init__(self, client: Any, **options: Any) -> None:
        """``client``: a sync one of the server that ``options`` mean."""
        self.client = client
        self.prefix = f"test-{next(numbers)}"
        # The machine may be busy with other tests; an answer may take nearly as long as a lease.
        self.registry = RedisRegistry({"prefix": self.prefix, "timeout": 8, **options})
        self.nodes: list[RedisNode] = []

    @classmethod
    def on(cls, valkey: Valkey, **options: Any) -> RedisStore:
        return cls(valkey.server.client(), url=valkey.url, **options)

    def node(self) -> RedisNode:
        node = self.registry.enlist()
        self.nodes.append(node)
        return node

    def keys(self, name: str = "") -> list[Any]:
        return list(self.client.scan_iter(f"{{{self.prefix}*}}:{name}*", 1000))

    async def lapse(self, *nodes: Enlisted) -> None:
        ids = {node._id: 1 for node in nodes if isinstance(node, RedisNode)}
        for key in self.keys("leases"):
            self.client.zadd(key, ids, xx=True)
        for key in self.keys("sweeper"):
            if self.client.get(key).decode() in ids:
                self.client.delete(key)
        self.look_again()

    async def be_away(self) -> None:
        for key in self.keys("leases"):
            for id_ in self.client.zrange(key, 0, -1):
                self.client.zadd(key, {id_: 1})
        for key in self.keys("swept"):
            self.client.set(key, 1)

    async def flush(self) -> None:
        if keys := self.keys():
            self.client.delete(*keys)

    async def pass_grace(self) -> None:
        for key in self.keys("due"):
            for what in self.client.zrange(key, 0, -1):
                self.client.zadd(key, {what: 1})

    async def is_empty(self) -> bool:
        return not self.keys()

    def look_again(self) -> None:
        """As if there had been a sweep a moment ago, as there always is."""
        seconds, microseconds = self.client.time()
        for key in self.keys("leases"):
            swept = key.removesuffix(b"leases") + b"swept"
            self.client.set(swept, seconds * 1000 + microseconds // 1000)

    async def close(self) -> None:
        for node in self.nodes:
            with contextlib.suppress(RegistryUnavailable):
                await node.resign()


@pytest.fixture
async def store(valkey: Valkey) -> AsyncIterator[RedisStore]:
    store = RedisStore.on(valkey)
    yield store
    await store.close()


class TestRedisRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, store: RedisStore) -> RedisNode:
        return store.node()


class TestUser(RegistryContract):
    """One that may do no more than docs/howto/redis.md has an administrator allow."""

    @pytest.fixture
    async def registry(self, valkey: Valkey) -> AsyncIterator[RedisNode]:
        line = re.search(r"^ACL SETUSER registry .*$", REDIS_PAGE.read_text(), re.MULTILINE)
        assert line is not None
        line_of_ours = line[0].replace("~{broadcasting-*", "~{test-*")
        valkey.server.client().execute_command(line_of_ours)
        store = RedisStore.on(valkey, username="registry", password="secret")
        yield store.node()
        await store.close()

    async def test_it_is_kept_to_its_keys(self, valkey: Valkey, registry: RedisNode) -> None:
        options = {"url": valkey.url, "username": "registry", "password": "secret"}
        others = RedisRegistry({**options, "prefix": "others"}).enlist()
        with pytest.raises(RegistryUnavailable, match="permission"):
            await others.connect("app", "1.1")
        with contextlib.suppress(RegistryUnavailable):
            await others.resign()


class TestLeases(LeaseContract):
    @pytest.fixture
    def store(self, store: RedisStore) -> RedisStore:
        return store
