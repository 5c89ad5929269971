"""Servers that share a Valkey, each through a proxy of its own, and all that can befall them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import live
from tests.conftest import Valkey, running_valkey
from tests.live import Server
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

    files: int = 0
    memory: int = 0
    """Bytes; as ``files``, of when it had just started."""

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all that it started."""
        self.server.send_signal(number)

    def measure(self) -> tuple[int, int]:
        """Return how many files it has open, and its memory in bytes."""
        assert self.server.process is not None
        place = Path(f"/proc/{self.server.process.pid}")
        files = len(list((place / "fd").iterdir()))
        pages = int((place / "statm").read_text().split()[1])
        return files, pages * os.sysconf("SC_PAGE_SIZE")

    async def start(self) -> None:
        """Let it run, and take sockets."""
        await asyncio.to_thread(self.server.start)
        self.files, self.memory = self.measure()
        self.is_up = True


class Cluster:
    """All of it. Made by ``running()``."""

    def __init__(self, rng: random.Random, tell: list[str], stack: ExitStack) -> None:
        self.sites: list[Site] = []
        self._rng = rng
        self._story = tell
        self._stack = stack
        self._valkey = self._start_valkey()

    def add(self) -> None:
        """Start one more server."""
        proxy = self._stack.enter_context(TcpProxy(self._valkey.path))
        env = {
            "REDIS_URL": f"redis://127.0.0.1:{proxy.port}",
            "BROADCAST_BACKPLANE": "redis",
            "BROADCAST_LEASE": str(LEASE),
        }
        site = Site(Server("uvicorn", live.free_port(), env), proxy)
        self._stack.callback(self._end, site)
        site.server.start()
        site.files, site.memory = site.measure()
        self.sites.append(site)

    def some_server(self) -> Server | None:
        """Return one that a balancer would send sockets to."""
        up = [site.server for site in self.sites if site.is_up]
        # Not the run's generator: how often this is asked is not decided by the seed.
        return random.choice(up) if up else None

    async def befall(self) -> None:
        """Let something happen, and have it over when this returns."""
        site = self._rng.choice(self.sites)
        deed = self._rng.choice(
            (self._kill, self._stall, self._restart, self._drop, self._pause, self._cut, self._fail)
        )
        seconds = self._rng.uniform(0.5, 2.5 * LEASE)
        async with site.busy:
            self._story.append(f"{deed.__name__.strip('_')} {site.server.port} {seconds:.1f} s")
            await deed(site, seconds)

    async def _kill(self, site: Site, seconds: float) -> None:
        site.is_up = False
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

    async def _fail(self, site: Site, seconds: float) -> None:
        """Give everybody another Valkey that knows nothing."""
        self._valkey = await asyncio.to_thread(self._start_valkey)
        for other in self.sites:
            other.proxy.target = self._valkey.path
            other.proxy.cut()

    def _start_valkey(self) -> Valkey:
        return self._stack.enter_context(contextmanager(running_valkey)())

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
