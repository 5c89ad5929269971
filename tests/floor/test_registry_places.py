"""The redis registry where there is more than one server: a Cluster, Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import RedisCluster
from redis.cluster import ClusterNode

from broadcasting.exceptions import RegistryUnavailable
from broadcasting.registry.redis_node import RedisNode
from tests.floor.lease_contract import LeaseContract, sweep_all
from tests.floor.registry_contract import RegistryContract
from tests.floor.test_registry_redis import RedisStore
from tests.redis_servers import ClusterSite, SentinelSite, cluster_site, sentinel_site

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    with cluster_site(tmp_path_factory.mktemp("cluster")) as site:
        yield site


@pytest.fixture
async def store(cluster: ClusterSite) -> AsyncIterator[RedisStore]:
    nodes = [ClusterNode(*primary.address) for primary in cluster.primaries]
    store = RedisStore(RedisCluster(startup_nodes=nodes), **cluster.options)
    yield store
    await store.close()
    store.client.close()


class TestClusterRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, store: RedisStore) -> RedisNode:
        return store.node()


class TestClusterLeases(LeaseContract):
    @pytest.fixture
    def store(self, store: RedisStore) -> RedisStore:
        return store

    async def test_applications_spread_over_the_cluster(
        self, store: RedisStore, cluster: ClusterSite
    ) -> None:
        node, dead = store.node(), store.node()
        for number in range(30):
            await dead.join(f"app-{number}", "c", "1.1")
        assert all(primary.run("DBSIZE") for primary in cluster.primaries)
        await store.lapse(dead)
        assert len(await sweep_all(node)) == 30


@pytest.fixture
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSite]:
    with sentinel_site(tmp_path_factory.mktemp("sentinels")) as site:
        yield site


async def test_a_failover_costs_nobody_his_place(sentinels: SentinelSite) -> None:
    quick = {"timeout": 0.5, "retry_delay": 0.05, "heartbeat": 0.2, "lease": 1, "sweep": 0.1}
    store = RedisStore(sentinels.replica.client(), **sentinels.options, **quick)
    nodes = [store.node(), store.node()]
    for number, node in enumerate(nodes):
        await node.join("app", "c", f"{number}.1")
    assert sentinels.master.run("WAIT", 1, 5000) == 1
    old = sentinels.master_port()
    sentinels.master.kill()
    async with asyncio.timeout(30):
        for node in nodes:
            while True:
                try:
                    assert await node.sweep() == ()
                    assert await node.renew()
                    break
                except RegistryUnavailable:
                    await asyncio.sleep(0.05)
    assert sentinels.master_port() != old
    assert (await nodes[0].occupancy("app", "c")).sockets == 2
    assert (await nodes[1].join("app", "c", "9.9")).count == 3
    await store.close()
