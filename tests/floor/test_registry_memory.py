from __future__ import annotations

import pytest

from broadcasting.registry import BaseRegistry
from broadcasting.registry.memory import MemoryRegistry
from tests.floor.registry_contract import RegistryContract, member


class TestMemoryRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> BaseRegistry:
        return MemoryRegistry({})

    def test_it_says_that_it_ends_with_its_process(self, registry: BaseRegistry) -> None:
        assert not registry.crosses_processes

    async def test_it_keeps_nothing_of_who_has_left(self) -> None:
        registry = MemoryRegistry({})
        await registry.join("app", "presence-c", "1.1", member("1"))
        await registry.join("app", "presence-c", "1.1", member("2"))
        await registry.join("app", "c", "1.1")
        await registry.leave("app", "presence-c", "1.1")
        await registry.leave("app", "c", "1.1")
        assert registry._sockets == {}
        assert registry._users == {}

    def test_a_join_is_one_step_of_the_event_loop(self) -> None:
        """The node counts on it: nothing may come between a join and its answer."""
        step = MemoryRegistry({}).join("app", "c", "1.1")
        with pytest.raises(StopIteration):
            step.send(None)
