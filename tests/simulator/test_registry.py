"""The registry of the simulator keeps what the real ones do."""

from __future__ import annotations

import pytest

from broadcasting.registry import BaseRegistry, Enlisted
from tests.floor.lease_contract import LeaseContract, SharedStore
from tests.floor.registry_contract import RegistryContract
from tests.simulator.shared_registry import Enlistment, SharedRegistry
from tests.simulator.store import Store

LONG = 60.0
"""Seconds, longer than anything that is waited for."""


class SimulatedStore(SharedStore):
    """One store whose clock the test turns."""

    def __init__(self) -> None:
        self.now = 1.0
        self.registry = SharedRegistry({"clock": lambda: self.now})
        self.nodes: list[Enlistment] = []

    @property
    def store(self) -> Store:
        return self.registry.store

    def node(self) -> Enlisted:
        node = self.registry.enlist()
        self.nodes.append(node)
        return node

    async def lapse(self, *nodes: Enlisted) -> None:
        self.store.look_for_dead()  # somebody looked a moment ago
        for node in self.nodes:
            if node in nodes:
                self.store.leases[node.id] = 0.0

    async def be_away(self) -> None:
        self.now += LONG

    async def flush(self) -> None:
        self.now += 0.001
        self.store.flush()

    async def pass_grace(self) -> None:
        leases = {node: due + LONG for node, due in self.store.leases.items()}
        self.now += LONG
        self.store.leases.update(leases)

    async def is_empty(self) -> bool:
        return all(known.is_empty for known in self.store.applications.values())


class TestSimulatedRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> BaseRegistry:
        return SharedRegistry({}).enlist()


class TestSimulatedLeases(LeaseContract):
    @pytest.fixture
    def store(self) -> SharedStore:
        return SimulatedStore()
