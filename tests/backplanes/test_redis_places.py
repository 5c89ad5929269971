"""The backplane, wherever Redis or Valkey is and however one gets in: users, Sentinels, shards."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import signal
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot

from broadcasting.backplanes import redis_master
from broadcasting.backplanes.envelope import Envelope
from broadcasting.backplanes.redis import RedisBackplane
from broadcasting.backplanes.redis_commands import LOOK_SECONDS
from broadcasting.backplanes.redis_subscription import RedisSubscription
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.redis_clients import RedisClients, server_of
from tests.backplanes.contract import ENVELOPE, GRACE, Inbox, RemoteContract, published
from tests.conftest import PUBLISH_LIMIT, Valkey
from tests.redis_servers import (
    HOST,
    SLOTS,
    ClusterSite,
    RedisProcess,
    SentinelSite,
    cluster_site,
    free_ports,
    running,
    sentinel_site,
    until,
)
from tests.server.certificates import Certificate

QUICK = {"retry_delay": 0.1, "idle_timeout": 0.5}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    with cluster_site(tmp_path_factory.mktemp("cluster")) as site:
        yield site


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSite]:
    with sentinel_site(tmp_path_factory.mktemp("sentinels")) as site:
        yield site


async def listening(
    backplane: RedisBackplane, channels: int
) -> tuple[RedisSubscription, Inbox, asyncio.Event]:
    """Return a node in so many channels, what it hears, and the end of its gap."""
    inbox, ended = Inbox(), asyncio.Event()
    node = backplane.connect(inbox, ended.set)
    for number in range(channels):
        await node.join("app", f"c{number}")
    return node, inbox, ended


async def all_heard(backplane: RedisBackplane, inbox: Inbox, channels: int) -> None:
    """An event of each channel arrives, once the server takes it."""
    for number in range(channels):
        envelope = Envelope(app_id="app", channel=f"c{number}", frame=f"{number}")
        await published(backplane, envelope)
        assert await inbox.next() == envelope


class TestUser(RemoteContract):
    """One that may do no more than publish and subscribe below its prefix."""

    @pytest.fixture(autouse=True)
    def _server(self, own_valkey: Valkey) -> None:
        self.path = own_valkey.path
        rules = ["on", ">se/cr:t@", "resetchannels", "&mine:*", "+publish", "+subscribe"]
        own_valkey.server.client().execute_command(
            "ACL", "SETUSER", "ada", *rules, "+unsubscribe", "+ping"
        )

    async def make(self, **options: Any) -> RedisBackplane:
        user = {"username": "ada", "password": "se/cr:t@", "prefix": "mine"}
        return RedisBackplane({"url": f"unix://{self.path}", **user, **options})

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        client = Redis(unix_socket_path=str(self.path))
        await asyncio.to_thread(client.publish, backplane.topic(app_id, channel), text)

    async def test_what_the_server_forbids_is_told_and_no_secret(self):
        backplane = await self.make(prefix="theirs", join_timeout=0.5)
        node = backplane.connect(Inbox())
        with pytest.raises(BackplaneUnavailable):
            await node.join("app", "c")
        assert "No permissions" in str(node.problem)
        with pytest.raises(BackplaneUnavailable) as refused:
            await asyncio.to_thread(backplane.publish, ENVELOPE)
        assert "se/cr" not in str(refused.value) + str(node.problem)
        await node.close()


class SiteContract(RemoteContract):
    """At several servers, which their options name."""

    site: ClusterSite | SentinelSite

    async def make(self, **options: Any) -> RedisBackplane:
        return RedisBackplane({**self.site.options, "prefix": "contract", **QUICK, **options})

    @pytest.mark.parametrize("number", range(1, 8))
    async def test_a_node_may_leave_while_something_is_asked(
        self, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """redis-py swallows a cancellation that comes as a command was sent, on Python 3.11."""
        backplane = await self.make(join_timeout=1)
        node, sent = backplane.connect(Inbox()), 0
        send, leaving = AbstractConnection._send_packed_command, list[asyncio.Task[None]]()

        async def send_and_leave(connection: Any, command: Any) -> None:
            nonlocal sent
            await send(connection, command)
            sent += 1
            if sent == number:
                leaving.append(asyncio.create_task(node.close()))

        monkeypatch.setattr(AbstractConnection, "_send_packed_command", send_and_leave)
        with contextlib.suppress(BackplaneUnavailable):
            await node.join("app", "c")
            await backplane.apublish(ENVELOPE)
        async with asyncio.timeout(4):
            await asyncio.gather(*leaving)
            assert not (leaving and node._tasks)
            await node.close()


@pytest.mark.full
class TestCluster(SiteContract):
    """Three shards, and pub/sub that stays within one."""

    site: ClusterSite

    @pytest.fixture(autouse=True)
    def _server(self, cluster: ClusterSite) -> None:
        self.site = cluster

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        topic = backplane.topic(app_id, channel)
        await asyncio.to_thread(self.site.owner(topic).run, "SPUBLISH", topic, text)

    async def test_thousands_of_channels_are_heard_at_the_shards_that_have_them(self):
        backplane, inbox = await self.make(), Inbox()
        node = backplane.connect(inbox)
        await asyncio.gather(*(node.join("app", f"c{number}") for number in range(3000)))
        for number in range(0, 3000, 300):
            await backplane.apublish(Envelope(app_id="app", channel=f"c{number}", frame="x"))
            assert (await inbox.next()).channel == f"c{number}"
        heard = [int(p.client().info("stats")["pubsubshard_channels"]) for p in self.site.primaries]
        assert min(heard) > 900
        assert sum(heard) == 3000
        await node.close()

    async def test_one_url_finds_the_others(self):
        host, port = self.site.primaries[0].address
        backplane = RedisBackplane({"url": f"redis://{host}:{port}", "cluster": True, **QUICK})
        inbox = Inbox()
        node = backplane.connect(inbox)
        for number in range(20):
            await node.join("app", f"c{number}")
            await backplane.apublish(Envelope(app_id="app", channel=f"c{number}", frame="x"))
            assert (await inbox.next()).channel == f"c{number}"
        await node.close()

    async def test_a_slot_that_moves_takes_its_channels_along(self):
        backplane, inbox, ended = await self.make(), Inbox(), asyncio.Event()
        node = backplane.connect(inbox, ended.set)
        await node.join("app", "moving")
        topic = backplane.topic("app", "moving")
        source = self.site.owner(topic)
        target = next(p for p in self.site.primaries if p is not source)
        slot, new = source.run("CLUSTER", "KEYSLOT", topic), target.run("CLUSTER", "MYID")
        # As redis-cli does it: who imports a slot claims it with a new epoch, or else the gossip
        # of the former owner may take it back. The new owner first: it refuses nothing from then.
        target.run("CLUSTER", "SETSLOT", slot, "IMPORTING", source.run("CLUSTER", "MYID"))
        source.run("CLUSTER", "SETSLOT", slot, "MIGRATING", new)
        others = (p for p in self.site.primaries if p not in (source, target))
        for process in (target, *others, source):
            await asyncio.to_thread(process.run, "CLUSTER", "SETSLOT", slot, "NODE", new)
        async with asyncio.timeout(10):
            await ended.wait()
        assert self.site.owner(topic) is target
        assert (node.gaps, node.problem) == (1, None)
        for number in range(3):
            await backplane.apublish(Envelope(app_id="app", channel="moving", frame=str(number)))
            assert (await inbox.next()).frame == str(number)
        assert inbox.queue.empty()
        await node.close()


@pytest.mark.full
async def test_those_who_wait_for_a_silent_shard_hold_up_nobody_else(tmp_path: Path, settings: Any):
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": 2}
    with cluster_site(tmp_path) as site:
        backplane = RedisBackplane({**site.options, **QUICK})
        shards: dict[int, list[Envelope]] = {}
        for number in range(400):
            envelope = Envelope(app_id="app", channel=f"c{number}", frame="x")
            port = site.owner(backplane.topic("app", envelope.channel)).port
            shards.setdefault(port, []).append(envelope)
        (silent, *held_up), *others = shards.values()
        await asyncio.gather(*(backplane.apublish(some[0]) for some in shards.values()))
        process = site.owner(backplane.topic("app", silent.channel))
        process.signal(signal.SIGSTOP)
        try:
            waiting = asyncio.gather(*map(backplane.apublish, held_up), return_exceptions=True)
            await asyncio.gather(*map(backplane.apublish, [one for some in others for one in some]))
            assert not waiting.done()
            problems = [str(problem) for problem in await waiting]
            # Each waited for its turn, and none for a connection beyond redis-py's hundred.
            out_of_time = ("no answer in time", "TimeoutError")
            assert all(problem.endswith(out_of_time) for problem in problems), problems[:5]
        finally:
            process.signal(signal.SIGCONT)


@pytest.mark.full
async def test_a_publish_that_fails_after_its_node_left_opens_nothing(
    tmp_path: Path, settings: Any
):
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": 1}
    with cluster_site(tmp_path) as site:
        backplane = RedisBackplane({**site.options, **QUICK})
        node = backplane.connect(Inbox())
        await backplane.apublish(ENVELOPE)
        shards = backplane._shards
        assert shards is not None
        process = site.owner(backplane.topic(ENVELOPE.app_id, ENVELOPE.channel))
        process.signal(signal.SIGSTOP)
        try:
            failing = asyncio.create_task(backplane.apublish(ENVELOPE))
            await asyncio.sleep(0.1)  # it is on its way
            await node.close()
            with pytest.raises(BackplaneUnavailable):
                await failing
            assert not shards._looking
        finally:
            process.signal(signal.SIGCONT)


@pytest.mark.full
async def test_a_shard_that_fails_over_is_heard_again_and_the_others_all_the_time(tmp_path: Path):
    with cluster_site(tmp_path, replicas=True) as site:
        backplane = RedisBackplane({**site.options, **QUICK})
        node, inbox, ended = await listening(backplane, 30)
        lost = site.owner(backplane.topic("app", "c0"))
        lost.kill()
        async with asyncio.timeout(60):
            await ended.wait()
        assert (node.gaps, node.connected) == (1, True)
        await all_heard(backplane, inbox, 30)
        assert inbox.queue.empty()
        await node.close()


@pytest.mark.full
class TestSentinel(SiteContract):
    site: SentinelSite

    @pytest.fixture(autouse=True)
    def _server(self, sentinels: SentinelSite) -> None:
        self.site = sentinels

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        topic = backplane.topic(app_id, channel)
        port = self.site.master_port()
        await asyncio.to_thread(Redis(port=port).publish, topic, text)


@pytest.mark.full
@pytest.mark.parametrize("how", ["killed", "asked"])
async def test_after_a_failover_the_new_master_is_heard(tmp_path: Path, how: str):
    with sentinel_site(tmp_path) as site:
        backplane = RedisBackplane({**site.options, **QUICK})
        node, inbox, ended = await listening(backplane, 20)
        await asyncio.to_thread(backplane.publish, Envelope(app_id="app", channel="c0", frame="0"))
        assert (await inbox.next()).frame == "0"
        if how == "killed":
            site.master.kill()
        else:
            site.sentinels[0].run("SENTINEL", "FAILOVER", site.service)
        new = site.replica.port
        await asyncio.to_thread(until, lambda: site.master_port() == new, "a failover")
        async with asyncio.timeout(30):
            await ended.wait()
        assert node.connected
        await all_heard(backplane, inbox, 20)
        assert inbox.queue.empty()
        await node.close()


@pytest.mark.full
async def test_however_many_publish_they_leave_a_former_master_that_goes_on_answering(
    tmp_path: Path, settings: Any
):
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": 5}
    former, present, sentinel = (RedisProcess(port, tmp_path / str(port)) for port in free_ports(3))
    sentinel.folder.mkdir()
    conf = sentinel.folder / "sentinel.conf"
    conf.write_text(f"sentinel monitor mymaster {HOST} {former.port} 1\n")
    sentinel.arguments = [str(conf), "--sentinel"]
    with running(former, present, sentinel):
        backplane = RedisBackplane({"sentinels": [sentinel.address], "service": "mymaster"})
        envelope = Envelope(app_id="app", channel="c", frame="x")
        node = backplane.connect(Inbox())  # whose loop publishes without another one
        with present.client().pubsub() as listener:
            listener.subscribe(backplane.topic("app", "c"))
            await asyncio.gather(*(backplane.apublish(envelope) for _ in range(20)))
            heard = asyncio.Event()

            async def keep_publishing() -> None:
                while not heard.is_set():
                    await backplane.apublish(envelope)

            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(keep_publishing())
                monitor = ("SENTINEL", "MONITOR", "mymaster", HOST, present.port, 1)
                for words in (("SENTINEL", "REMOVE", "mymaster"), monitor):
                    await asyncio.to_thread(sentinel.run, *words)
                while await asyncio.to_thread(_published, present) < 500:
                    await asyncio.sleep(0.05)  # another process's count
                heard.set()
            before = _published(former)
            await asyncio.gather(*(backplane.apublish(envelope) for _ in range(200)))
            assert _published(former) == before
        await node.close()


@pytest.mark.full
async def test_sentinels_that_say_nothing_cost_nobody_a_publish(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": 2}
    monkeypatch.setattr(redis_master, "LOOK_SECONDS", 0)
    with sentinel_site(tmp_path) as site:
        backplane = RedisBackplane({**site.options, **QUICK})
        envelope = Envelope(app_id="app", channel="nobody", frame="x")
        await backplane.apublish(envelope)
        with silent(site):
            for _ in range(2):
                await asyncio.gather(*(backplane.apublish(envelope) for _ in range(3)))


@pytest.mark.full
@pytest.mark.parametrize("connection", [{}, {"max_connections": 1}])
async def test_silent_sentinels_hold_up_few_and_no_server_that_is_slow_itself(
    tmp_path: Path, settings: Any, connection: dict[str, Any]
):
    settings.BROADCASTING = {**settings.BROADCASTING, "PUBLISH_TIMEOUT": 2}
    with sentinel_site(tmp_path) as site:
        backplane = RedisBackplane({**site.options, **QUICK, "connection": connection})
        envelope = Envelope(app_id="app", channel="nobody", frame="x")
        await backplane.apublish(envelope)
        await asyncio.sleep(LOOK_SECONDS)  # until they may be asked again
        with silent(site):
            site.master.run("CLIENT", "PAUSE", 1200, "ALL")
            await backplane.apublish(envelope)
            # Each for itself they would wait for twelve seconds.
            async with asyncio.timeout(6):
                for _ in range(12):
                    await backplane.apublish(envelope)
                await asyncio.gather(*(backplane.apublish(envelope) for _ in range(12)))


@contextlib.contextmanager
def silent(site: SentinelSite) -> Iterator[None]:
    """Let the Sentinels say nothing."""
    for sentinel in site.sentinels:
        sentinel.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for sentinel in site.sentinels:
            sentinel.signal(signal.SIGCONT)


@pytest.mark.full
def test_a_loop_that_asked_the_sentinels_is_not_kept(tmp_path: Path):
    with sentinel_site(tmp_path) as site:
        clients = RedisClients(server_of(site.options, "here"), timeout=5)
        publisher = redis_master.MasterPublisher(clients)
        with asyncio.Runner() as runner:
            loop = weakref.ref(runner.get_loop())
            runner.run(publisher.publish("nobody", "x"))
            runner.run(clients.aclose())
        del runner
        gc.collect()
        assert loop() is None


@pytest.mark.full
async def test_a_connection_that_was_busy_while_the_master_was_replaced_leaves_it(tmp_path: Path):
    former, present, sentinel = (RedisProcess(port, tmp_path / str(port)) for port in free_ports(3))
    sentinel.folder.mkdir()
    conf = sentinel.folder / "sentinel.conf"
    conf.write_text(f"sentinel monitor mymaster {HOST} {former.port} 1\n")
    sentinel.arguments = [str(conf), "--sentinel"]
    with running(former, present, sentinel):
        options = {"sentinels": [sentinel.address], "service": "mymaster"}
        clients = RedisClients(server_of(options, "here"), timeout=5)
        async with clients.lend() as client:
            pool: Any = client.connection_pool
            busy = await pool.get_connection()
            for words in (
                ("SENTINEL", "REMOVE", "mymaster"),
                ("SENTINEL", "MONITOR", "mymaster", HOST, present.port, 1),
            ):
                await asyncio.to_thread(sentinel.run, *words)
            assert await pool.get_master_address() == present.address
            await pool.release(busy)
        await clients.run("PUBLISH", "topic", "x")
        assert (_published(former), _published(present)) == (0, 1)
        await clients.aclose()


def _published(process: RedisProcess) -> int:
    stats: Any = process.client().info("commandstats")
    return int(stats.get("cmdstat_publish", {}).get("calls", 0))


@pytest.mark.full
class TestTls(RemoteContract):
    """Debian's Redis, which shows a certificate and wants one."""

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path: Path, certificate: Certificate) -> Iterator[None]:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("no redis-server here; on Debian: apt-get install redis-server")
        cert, key = str(certificate.certificate), str(certificate.key)
        ssl = {"ssl_ca_certs": cert, "ssl_certfile": cert, "ssl_keyfile": key}
        plain, self.port = free_ports(2)
        tls = ["--tls-port", str(self.port), "--tls-cert-file", cert, "--tls-key-file", key]
        server = RedisProcess(plain, tmp_path / "r", [*tls, "--tls-ca-cert-file", cert], binary)
        self.connection, self.plain = ssl, server
        with running(server):
            yield

    async def make(self, **options: Any) -> RedisBackplane:
        url = f"rediss://localhost:{self.port}/0"
        return RedisBackplane({"url": url, "connection": self.connection, **QUICK, **options})

    async def inject(self, backplane: Any, app_id: str, channel: str, text: str) -> None:
        topic = backplane.topic(app_id, channel)
        await asyncio.to_thread(self.plain.run, "PUBLISH", topic, text)

    @pytest.mark.parametrize(
        "wrong", [{"ssl_ca_certs": None}, {"ssl_certfile": None, "ssl_keyfile": None}]
    )
    async def test_a_certificate_that_is_not_good_opens_nothing(self, wrong: dict[str, None]):
        connection = {**self.connection, **wrong}
        backplane = await self.make(connection=connection, join_timeout=1)
        with pytest.raises(BackplaneUnavailable):
            await asyncio.to_thread(backplane.publish, ENVELOPE)
        node = backplane.connect(Inbox())
        with pytest.raises(BackplaneUnavailable):
            await node.join("app", "c")
        assert not node.connected
        await node.close()


async def test_a_server_that_is_restarted_is_heard_again(tmp_path: Path):
    server = RedisProcess(free_ports(1)[0], tmp_path / "r")
    with running(server):
        backplane = RedisBackplane({"url": f"redis://127.0.0.1:{server.port}", **QUICK})
        node, inbox, ended = await listening(backplane, 20)
        server.kill()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            await ended.wait()
        await all_heard(backplane, inbox, 20)
        assert (node.gaps, node.connected) == (1, True)
        await node.close()


def slot_of(backplane: RedisBackplane, channel: str) -> int:
    return key_slot(backplane.topic("app", channel).encode())


@pytest.mark.full
@pytest.mark.usefixtures("limited")
async def test_a_shard_that_is_frozen_holds_nobody_for_longer_than_a_publish_may(tmp_path: Path):
    with cluster_site(tmp_path, replicas=True) as site:
        backplane = RedisBackplane({**site.options, **QUICK, "join_timeout": 1})
        node, inbox, ended = await listening(backplane, 10)
        frozen = site.owner(backplane.topic("app", "c0"))
        frozen.signal(signal.SIGSTOP)
        envelope = Envelope(app_id="app", channel="c0", frame="x")
        for publish in (backplane.apublish, lambda e: asyncio.to_thread(backplane.publish, e)):
            started = time.monotonic()
            with pytest.raises(BackplaneUnavailable):
                await publish(envelope)
            assert time.monotonic() - started < PUBLISH_LIMIT + GRACE
        elsewhere = next(
            channel
            for channel in (f"c{number}" for number in range(10))
            if abs(slot_of(backplane, channel) - slot_of(backplane, "c0")) > SLOTS // 2
        )
        for _ in range(5):
            # An early redis-py hangs up on all shards when it looks for the nodes again.
            await published(backplane, Envelope(app_id="app", channel=elsewhere, frame="y"))
            assert (await inbox.next()).frame == "y"
        assert not ended.is_set()
        async with asyncio.timeout(60):
            await ended.wait()
        await all_heard(backplane, inbox, 10)
        frozen.signal(signal.SIGCONT)
        await all_heard(backplane, inbox, 10)
        assert inbox.queue.empty()
        await node.close()
