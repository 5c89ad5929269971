"""A TCP proxy to break things with: what lies between two that talk, and can be hurt.

It runs in a thread of its own, so that tests of any colour can use it. Faults hold for the
connections that are open and for those to come, until they are taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

Address = tuple[str, int] | str | Path
"""A host and a port, or the path of a unix socket."""


@dataclass(slots=True)
class Faults:
    """What is wrong with the way at present."""

    paused: bool = False
    """Nothing is read: what is sent waits in the kernel, as at a frozen peer."""

    dropping: bool = False
    """What is sent vanishes, as in a partition whose ends know nothing of it."""

    refusing: bool = False
    """New connections are closed at once."""

    delay: float = 0.0
    """Seconds that each piece is on its way; those behind it keep their order."""


class TcpProxy:
    """Listens on 127.0.0.1:``port`` and carries to ``target``. Use it in a ``with``."""

    def __init__(self, target: Address, port: int = 0) -> None:
        self.target = target
        self.faults = Faults()
        self.accepted = 0
        """Connections since the proxy began."""

        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._moving = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens; the same for as long as it lives."""
        return self._port

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    @property
    def open(self) -> int:
        """Connections that are carried now."""
        return len(self._writers) // 2

    def pause(self) -> None:
        """Stand still: neither end is read, and neither is told."""
        self._set(lambda faults: setattr(faults, "paused", True))

    def drop(self) -> None:
        """Lose all that either end says, and say nothing of it."""
        self._set(lambda faults: setattr(faults, "dropping", True))

    def refuse(self) -> None:
        """Cut what is open, and close what is opened."""
        self._set(lambda faults: setattr(faults, "refusing", True))
        self.cut()

    def delay(self, seconds: float) -> None:
        """Let each piece take so long, in both directions."""
        self._set(lambda faults: setattr(faults, "delay", seconds))

    def heal(self) -> None:
        """Take every fault back. What was dropped stays lost."""
        self._set(lambda faults: None, Faults())

    def cut(self) -> None:
        """End every open connection with a reset, on both sides."""
        self._run(self._cut())

    def hang_up(self) -> None:
        """End every open connection in good order, on both sides."""
        self._run(self._hang_up())

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    def _set(self, change: Callable[[Faults], None], faults: Faults | None = None) -> None:
        async def apply() -> None:
            self.faults = faults or self.faults
            change(self.faults)
            if self.faults.paused:
                self._moving.clear()
            else:
                self._moving.set()

        self._run(apply())

    async def _start(self) -> None:
        self._moving.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()
        ours = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not ours]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in tuple(self._writers):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it has just ended by itself
                # To linger for no time is to reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _hang_up(self) -> None:
        for writer in tuple(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with contextlib.suppress(OSError), self._held(writer):
            if self.faults.refusing:
                return
            there, answers = await self._dial()
            with self._held(answers):
                await asyncio.gather(self._carry(reader, answers), self._carry(there, writer))

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, tuple):
            return await asyncio.open_connection(*self.target)
        return await asyncio.open_unix_connection(self.target)

    @contextlib.contextmanager
    def _held(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction until it ends; then the other hears of it, too."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        giving = asyncio.ensure_future(self._give(pieces, writer))
        try:
            while data := await self._read(reader):
                if not self.faults.dropping:
                    pieces.put_nowait((self._loop.time() + self.faults.delay, data))
            pieces.put_nowait((self._loop.time() + self.faults.delay, b""))
            await giving
        except OSError:
            writer.transport.abort()
        finally:
            giving.cancel()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        await self._moving.wait()
        data = await reader.read(65536)
        await self._moving.wait()
        return data

    async def _give(
        self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await pieces.get()
            if (wait := due - self._loop.time()) > 0:
                await asyncio.sleep(wait)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            with contextlib.suppress(OSError):
                await writer.drain()
