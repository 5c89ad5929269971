from __future__ import annotations

from sys import getsizeof

import pytest

from broadcasting.registry import BaseRegistry, Cached
from broadcasting.registry.memory import OVERHEAD, MemoryRegistry
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
        await registry.connect("app", "1.1")
        await registry.disconnect("app", "1.1")
        await registry.sign_in("app", "ada", "1.1")
        await registry.sign_out("app", "ada", "1.1")
        kept = (registry._sockets, registry._users, registry._connections, registry._signed_in)
        assert not any(of_application for part in kept for of_application in part.values())
        assert not registry._rosters["app"]

    async def test_the_oldest_frames_go_when_there_are_too_many(self) -> None:
        registry = MemoryRegistry({"max_cached_bytes": 2 * (OVERHEAD + getsizeof("0"))})
        registry.remember("other", "cache-0", Cached(frame="x", id="x", ttl=60))
        for number in range(3):
            last = Cached(frame=str(number), id=str(number), ttl=60)
            registry.remember("app", f"cache-{number}", last)
        assert await registry.recall("app", "cache-0") is None
        assert await registry.recall("other", "cache-0") is not None
        assert registry.evicted == 1
        assert [await registry.recall("app", f"cache-{n}") is not None for n in (1, 2)] == [
            True
        ] * 2

    async def test_a_key_that_was_given_back_makes_room(self) -> None:
        registry = MemoryRegistry({"max_keys": 2})
        for key in "abc":
            assert await registry.claim("app", key, 60)
            await registry.release("app", key)
        assert registry.evicted == 0
        for key in "abc":
            assert await registry.claim("app", key, 60)
        assert registry.evicted == 1
        assert await registry.claim("app", "a", 60)
        assert not await registry.claim("app", "c", 60)

    def test_a_join_is_one_step_of_the_event_loop(self) -> None:
        """The node counts on it: nothing may come between a join and its answer."""
        step = MemoryRegistry({}).join("app", "c", "1.1")
        with pytest.raises(StopIteration):
            step.send(None)
