"""The node process behind ``harness.mjs``, and the pages that live in it.

Everything is awaited: an answer by its id, an event by what it says. Nothing sleeps.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live import PATIENCE, Server

HERE = Path(__file__).parent
Event = dict[str, Any]


def missing() -> str | None:
    """Return why the pages cannot run here, or None if they can."""
    if executable() is None:
        return "node is not installed"
    if not (HERE / "node_modules" / "pusher-js").is_dir():
        return "the packages of tests/node are not installed: run npm ci there, or ./dev test"
    return None


def executable() -> str | None:
    """Return node: the machine's, or the one that a wheel brought into this environment."""
    return shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


class Node:
    """One process for all pages of a test session.

    ``folder``: of its ``harness.mjs``, and of the packages that it imports.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self.process = subprocess.Popen(
            [executable() or "node", "harness.mjs"],
            cwd=folder,
            env=os.environ | {"NODE_NO_WARNINGS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )
        self._ids = itertools.count(1)
        self._answers: dict[int, Event] = {}
        self._pages: dict[str, list[Event]] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def call(self, do: str, **more: Any) -> Any:
        """Have one verb of the harness done and return its result."""
        number = next(self._ids)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "do": do, **more}) + "\n")
        with self._changed:
            answered = self._changed.wait_for(lambda: number in self._answers, PATIENCE)
            assert answered, f"node does not answer {do!r}"
            answer = self._answers.pop(number)
        if "failure" in answer:
            raise AssertionError(answer["failure"])
        return answer["result"]

    def wait(self, page: str, start: int, event: str, facts: Event) -> int:
        """Return the index of the first such event of ``page``, at ``start`` or later."""

        def find() -> int | None:
            for index, one in enumerate(self._pages[page][start:], start):
                if _fits(one, event, facts):
                    return index
            return None

        with self._changed:
            found = self._changed.wait_for(lambda: find() is not None, PATIENCE)
            known = self._pages[page][start:]
            assert found, f"{event} {facts} did not come to {page}, but {known}"
            index = find()
            assert index is not None
            return index

    def events(self, page: str) -> list[Event]:
        """Return the list that grows with whatever ``page`` comes to know."""
        with self._changed:
            return self._pages.setdefault(page, [])

    def forget(self, page: str) -> None:
        with self._changed:
            self._pages.pop(page, None)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            with self._changed:
                if "id" in message:
                    self._answers[message["id"]] = message
                else:
                    self._pages.setdefault(message["page"], []).append(message)
                self._changed.notify_all()


def _fits(one: Event, event: str, facts: Event) -> bool:
    return one["event"] == event and facts.items() <= one.items()


@contextlib.contextmanager
def running(folder: Path = HERE) -> Iterator[Node]:
    """The process, ended afterwards."""
    node = Node(folder)
    try:
        yield node
    finally:
        node.stop()


@dataclass
class Tab:
    """One client in the process, and what it came to know; ``user`` is who it says it is."""

    node: Node
    server: Server
    name: str
    user: str | None = None
    cursor: int = field(default=0, init=False)

    def do(self, verb: str, **more: Any) -> Any:
        return self.node.call(verb, page=self.name, **more)

    def close(self) -> None:
        """End its connection and forget it; harmless when it was never opened."""
        self.do("close")
        self.node.forget(self.name)

    def wait(self, event: str, **facts: Any) -> Event:
        """Return the next such event; what came before it is behind us."""
        index = self.node.wait(self.name, self.cursor, event, facts)
        self.cursor = index + 1
        return self.node.events(self.name)[index]

    def seen(self, event: str, **facts: Any) -> list[Event]:
        """Return all such events since it was opened."""
        return [one for one in self.node.events(self.name) if _fits(one, event, facts)]

    def settle(self) -> None:
        """Return once everything the server sent so far has arrived: a ping was answered."""
        self.do("echo")


@dataclass
class Page(Tab):
    """One browser tab with its own Echo; its bearer token says who the user is."""

    common: Mapping[str, Any] = field(default_factory=dict)
    """Options of all pages of a test."""

    def open(self, **options: Any) -> None:
        """Make its Echo; it connects by itself."""
        base: dict[str, Any] = {
            "broadcaster": "reverb",
            "key": "app-key",
            "namespace": False,
            "wsHost": "127.0.0.1",
            "wsPort": self.server.port,
            "forceTLS": False,
            "enabledTransports": ["ws"],
            "authEndpoint": f"{self.server.url}/broadcasting/auth",
            "userAuthentication": {
                "endpoint": f"{self.server.url}/broadcasting/user-auth",
                "headers": {},
            },
        }
        if self.user is not None:
            base["bearerToken"] = self.user
        self.node.events(self.name)
        self.do("open", options={**base, **self.common, **options})

    # -- Echo, in its own words -------------------------------------------------------------

    def connect(self, **options: Any) -> str:
        """Open, and return the socket id once it is connected."""
        self.open(**options)
        return self.connected()

    def connected(self) -> str:
        self.wait("state", current="connected")
        return str(self.do("socketId"))

    def join(self, kind: str, name: str) -> None:
        """Enter a channel (kind: one of Echo's methods) and wait until it is entered."""
        self.do("join", kind=kind, name=name)
        self.node.wait(self.name, 0, "subscribed", {"kind": kind, "name": name})

    def listen(self, kind: str, name: str, as_: str) -> None:
        self.do("listen", kind=kind, name=name, **{"as": as_})

    def post(self, path: str, **body: Any) -> None:
        """Have a Django view do something, see tests/liveapp/views.py."""
        answer = self.do("post", url=f"{self.server.url}{path}", body=body)
        assert answer["status"] == 200, answer

    def dispatch(self, channel: str, number: int, **wish: Any) -> None:
        """Have a Django view dispatch an event, the request bearing this page's socket id."""
        body = {"channel": channel, "number": number, **wish}
        answer = self.do("post", url=f"{self.server.url}/dispatch/", body=body)
        assert answer["status"] == 200, answer
        assert answer["body"]["error"] is None, answer
