"""The redis registry on a real server: what every registry promises, and what shared ones do."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from broadcasting.registry.redis import RedisRegistry
from broadcasting.registry.redis_node import RedisNode
from tests.conftest import Valkey
from tests.floor.registry_contract import RegistryContract

numbers = itertools.count()


class TestRedisRegistry(RegistryContract):
    @pytest.fixture
    async def registry(self, valkey: Valkey) -> AsyncIterator[RedisNode]:
        shared = RedisRegistry({"url": valkey.url, "prefix": f"test-{next(numbers)}"})
        node = shared.enlist()
        yield node
        await node.resign()
