"""A worker's end of the line to its parent: what it was given, and what both say.

One word a line. A parent that is gone is an end of file, and the worker's own end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from broadcasting.server.listening import Listener, Listening
from broadcasting.server.node import get_node
from broadcasting.server.readiness import readiness
from broadcasting.server.serve import SocketServer

logger = logging.getLogger("broadcasting.server")

VARIABLE = "BROADCASTING_WORKER"
"""The environment variable that makes a process a worker."""

LOOK_SECONDS = 0.1
"""Between two looks if a worker that has started is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a parent gives its worker: file descriptors, and how to call them."""

    number: int
    line: int
    sockets: tuple[int, ...]
    where: str
    is_url: bool
    checked: bool
    """Whether the system checks were done for it already."""

    def encode(self) -> str:
        """Return it as text for the environment."""
        return json.dumps(asdict(self))

    def listening(self) -> Listening:
        """Return the sockets, open already."""
        return Listening(
            sockets=[Listener(fileno=fd).keep_spare() for fd in self.sockets],
            where=self.where,
            is_url=self.is_url,
        )


def assignment(environment: Mapping[str, str] = os.environ) -> Assignment | None:
    """Return what this process was given; None: it is no worker."""
    text = environment.get(VARIABLE)
    if text is None:
        return None
    given = json.loads(text)
    return Assignment(**(given | {"sockets": tuple(given["sockets"])}))


class Line:
    """The worker's end. Used on the server's event loop only, from ``attach()`` on."""

    def __init__(self, given: Assignment) -> None:
        # What we start ourselves is no worker of anybody.
        os.environ.pop(VARIABLE, None)
        os.set_inheritable(given.line, False)
        for fd in given.sockets:
            os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=given.line)
        self._socket.setblocking(False)
        self._looking: asyncio.Task[None] | None = None

    def attach(self, server: SocketServer) -> None:
        """Say that ``server`` listens, and do with it what the parent says."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._hear, server)
        self._say("listens")
        self._looking = loop.create_task(self._say_when_ready())

    def ask_restart(self, request: str, over: float) -> None:
        """Tell the parent that all of its workers are to be replaced."""
        self._say(f"restart {request} {over}")

    async def _say_when_ready(self) -> None:
        while not readiness(get_node())["ready"]:
            await asyncio.sleep(LOOK_SECONDS)  # nobody tells of every reason
        self._say("ready")

    def _say(self, words: str) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is heard
            self._socket.send(f"{words}\n".encode())

    def _hear(self, server: SocketServer) -> None:
        try:
            heard = self._socket.recv(4_096)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        for word in heard.split():
            if word == b"replaced":
                server.others_take_over = True
            if word in (b"stop", b"replaced"):
                server.leave()
            elif word == b"now":
                server.hurry()
        if not heard:
            logger.warning("The parent process is gone: stopping")
            asyncio.get_running_loop().remove_reader(self._socket)
            server.leave()
