"""Servers that share a Valkey, each through a proxy of its own, and all that can befall them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import live
from tests.live import Server
from tests.redis_servers import HOST, RedisProcess, free_ports, is_in_step, until
from tests.tcp_proxy import TcpProxy

LEASE = 3.0
"""Seconds; the default is 9."""


@dataclass(slots=True, eq=False)
class Site:
    """One server and its way to Valkey."""

    server: Server
    proxy: TcpProxy
    is_up: bool = True
    """Whether it is neither dead nor about to go."""

    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One thing befalls it at a time."""

    deaths: int = 0
    """How often it was killed, and said goodbye to nobody."""

    files: int = 0
    memory: int = 0
    """Bytes; as ``files``, of when it was ready for the first time."""

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all that it started."""
        self.server.send_signal(number)

    def is_ready(self) -> bool:
        """Whether it says so. Raises OSError where it says that it is not."""
        with urllib.request.urlopen(f"{self.server.url}/ready") as answer:  # noqa: S310 - ours
            return bool(answer.status == 200)

    @property
    def place(self) -> Path:
        """Where the system tells of its process."""
        assert self.server.process is not None
        return Path(f"/proc/{self.server.process.pid}")

    def measure(self) -> tuple[int, int]:
        """Return how many files it has open beside its connections to Valkey, and its memory in
        bytes."""
        files = len(self._files()) - self.connections()
        pages = int((self.place / "statm").read_text().split()[1])
        return files, pages * os.sysconf("SC_PAGE_SIZE")

    def connections(self) -> int:
        """Return how many of its files are connections to Valkey, or some that ended unnoticed.

        A pool finds out that one was reset when it is about to lend it again; until then it is
        a socket of which no table of the system tells.
        """
        tcp = {inode: theirs for _, theirs, _, inode in self._tcp()}
        local = {f"socket:[{row.split()[6]}]" for row in self._table("unix")}
        there = f":{self.proxy.port:04X}"
        sockets = [file for file in self._files() if file.startswith("socket:")]
        return sum(tcp.get(one, there).endswith(there) and one not in local for one in sockets)

    def shown_files(self) -> str:
        """Return what it has open, for people: TCP sockets as both addresses and the state."""
        shown = {inode: f"{ours}-{theirs} {state}" for ours, theirs, state, inode in self._tcp()}
        found = Counter(self._files())
        return ", ".join(f"{n} {shown.get(file, file)}" for file, n in sorted(found.items()))

    def _files(self) -> list[str]:
        found: list[str] = []
        for file in (self.place / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(file))
        return found

    def _tcp(self) -> Iterator[tuple[str, str, str, str]]:
        for row in self._table("tcp"):
            _, ours, theirs, state, *_, inode = row.split()[:10]
            yield ours, theirs, state, f"socket:[{inode}]"

    def _table(self, kind: str) -> list[str]:
        return (self.place / "net" / kind).read_text().splitlines()[1:]

    async def start(self) -> None:
        """Let it run, and take sockets."""
        await asyncio.to_thread(self.server.start)
        self.is_up = True


class Cluster:
    """All of it. Made by ``running()``."""

    def __init__(self, rng: random.Random, tell: list[str], stack: ExitStack) -> None:
        self.sites: list[Site] = []
        self._rng = rng
        self._story = tell
        self._stack = stack
        self._valkey = self._start_valkey()
        self._changing = asyncio.Lock()
        """One thing befalls Valkey at a time."""

    def add(self) -> None:
        """Start one more server."""
        proxy = self._stack.enter_context(TcpProxy(self._valkey.address))
        env = {
            "REDIS_URL": f"redis://127.0.0.1:{proxy.port}",
            "BROADCAST_BACKPLANE": "redis",
            "BROADCAST_LEASE": str(LEASE),
        }
        site = Site(Server("uvicorn", live.free_port(), env), proxy)
        self._stack.callback(self._end, site)
        site.server.start()
        until(site.is_ready, "a server is ready")
        site.files, site.memory = site.measure()
        self.sites.append(site)

    def deaths(self, server: Server) -> int:
        """Return how often ``server`` was killed."""
        return next(site.deaths for site in self.sites if site.server is server)

    def some_server(self) -> Server | None:
        """Return one that a balancer would send sockets to."""
        up = [site.server for site in self.sites if site.is_up]
        # Not the run's generator: how often this is asked is not decided by the seed.
        return random.choice(up) if up else None

    async def befall(self) -> None:
        """Let something happen, and have it over when this returns."""
        site = self._rng.choice(self.sites)
        deed = self._rng.choice(
            (
                *(self._kill, self._stall, self._restart, self._drop, self._pause, self._cut),
                *(self._lose, self._crash, self._fail_over),
            )
        )
        seconds = self._rng.uniform(0.5, 2.5 * LEASE)
        async with site.busy:
            self._story.append(f"{deed.__name__.strip('_')} {site.server.port} {seconds:.1f} s")
            await deed(site, seconds)

    async def _kill(self, site: Site, seconds: float) -> None:
        site.is_up = False
        site.deaths += 1
        await asyncio.to_thread(site.server.stop, signal.SIGKILL)
        await asyncio.sleep(seconds / 2)
        await site.start()

    async def _restart(self, site: Site, seconds: float) -> None:
        site.is_up = False
        await asyncio.to_thread(site.server.stop)
        await site.start()

    async def _stall(self, site: Site, seconds: float) -> None:
        site.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        site.signal(signal.SIGCONT)

    async def _drop(self, site: Site, seconds: float) -> None:
        site.proxy.drop()
        await asyncio.sleep(seconds)
        site.proxy.heal()
        # A stream that lost its middle is good for nothing: TCP would end it.
        site.proxy.cut()

    async def _pause(self, site: Site, seconds: float) -> None:
        site.proxy.pause()
        await asyncio.sleep(seconds)
        site.proxy.heal()

    async def _cut(self, site: Site, seconds: float) -> None:
        site.proxy.refuse()
        await asyncio.sleep(seconds)
        site.proxy.heal()

    async def _lose(self, site: Site, seconds: float) -> None:
        """Give everybody another Valkey that knows nothing."""
        async with self._changing:
            self._move(await asyncio.to_thread(self._start_valkey))

    async def _crash(self, site: Site, seconds: float) -> None:
        """Kill Valkey, and start it again with all that it had said it knew."""
        async with self._changing:
            self._valkey.kill()
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(self._valkey.start)

    async def _fail_over(self, site: Site, seconds: float) -> None:
        """Kill Valkey, and promote a replica of it, as Sentinels do."""
        async with self._changing:
            old = self._valkey
            replica = await asyncio.to_thread(self._start_valkey, f"{HOST} {old.port}")
            await asyncio.to_thread(until, lambda: is_in_step(replica), "a replica in step")
            old.kill()
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(replica.run, "REPLICAOF", "NO", "ONE")
            replica.arguments = ()  # nor is it one when it is started again
            self._move(replica)

    def _move(self, valkey: RedisProcess) -> None:
        self._valkey = valkey
        for site in self.sites:
            site.proxy.target = valkey.address
            site.proxy.cut()

    def _start_valkey(self, primary: str | None = None) -> RedisProcess:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vk"))
        replicating = [] if primary is None else ["--replicaof", primary]
        valkey = RedisProcess(free_ports(1)[0], Path(folder), replicating, keeps=True)
        self._stack.callback(valkey.kill)
        valkey.start()
        return valkey

    def _end(self, site: Site) -> None:
        process = site.server.process
        if process is not None and process.poll() is None:
            site.signal(signal.SIGCONT)
            site.server.stop()
        site.server.log.unlink(missing_ok=True)


@contextmanager
def running(count: int, rng: random.Random, story: list[str]) -> Iterator[Cluster]:
    """So many servers that run, stopped afterwards."""
    with ExitStack() as stack:
        cluster = Cluster(rng, story, stack)
        for _ in range(count):
            cluster.add()
        yield cluster
