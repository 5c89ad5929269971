"""One worker as its parent sees it: a fresh process, and a line to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

from broadcasting.server.listening import Listening
from broadcasting.server.worker import VARIABLE, Assignment

logger = logging.getLogger("broadcasting.server")


class Worker:
    """One process, and the line to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        asked: Callable[[str, float], None],
    ) -> None:
        self._process = process
        self._reader, self._writer = line
        self._asked = asked
        self.began = asyncio.get_running_loop().time()
        self.listens = asyncio.Event()
        self.ready = asyncio.Event()
        self.replaced = asyncio.Event()
        """Set by who has put another one in its place."""

        self._hearing = asyncio.create_task(self._hear())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> int:
        """Return its exit code, once it has one; negative: the signal that ended it."""
        code = await self._process.wait()
        self._hearing.cancel()
        self._writer.close()
        return code

    async def comes_to(self, event: asyncio.Event, patience: float | None = None) -> bool:
        """Whether ``event`` comes before the end of the process and of ``patience``."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._process.wait())]
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set() and self._process.returncode is None

    def tell(self, word: str) -> None:
        """Say ``stop``, ``replaced`` or ``now``; one that does not listen yet is ended."""
        if self._process.returncode is not None:
            return
        if self.listens.is_set():
            self._writer.write(f"{word}\n".encode())
        else:
            self._process.terminate()

    async def end(self, word: str, patience: float) -> int:
        """Tell it to go, kill it if it does not, and return its exit code."""
        self.tell(word)
        try:
            async with asyncio.timeout(patience):
                return await self.ended()
        except TimeoutError:
            logger.error("Worker process %d did not end in time, killing it", self.pid)
            self.kill()
            return await self.ended()

    def kill(self) -> None:
        """End it without a word."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _hear(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                match line.decode().split():
                    case ["listens"]:
                        self.listens.set()
                    case ["ready"]:
                        self.ready.set()
                    case ["restart", request, over]:
                        self._asked(request, float(over))


async def start(
    command: Sequence[str],
    number: int,
    listening: Listening,
    asked: Callable[[str, float], None],
    *,
    checked: bool,
) -> Worker:
    """Start ``command`` as a worker that serves ``listening``.

    ``asked`` is called when it heard that all are to restart; ``checked``: see Assignment.
    """
    ours, theirs = socket.socketpair()
    sockets = tuple(sock.fileno() for sock in listening.sockets)
    given = Assignment(
        number=number,
        line=theirs.fileno(),
        sockets=sockets,
        where=listening.where,
        is_url=listening.is_url,
        checked=checked,
    )
    # First: from a process on, nothing may come between it and those that are ended.
    line = await asyncio.open_connection(sock=ours)
    with theirs, contextlib.ExitStack() as undo:
        undo.callback(line[1].close)
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {VARIABLE: given.encode()},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *sockets),
            # Control-C at a terminal is for the parent, which tells the others.
            process_group=0,
        )
        undo.pop_all()
    return Worker(process, line, asked)


def said(code: int) -> str:
    """Return an exit code in words."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
