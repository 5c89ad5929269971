"""pysher, a Pusher client that nobody wrote with us in mind, made to be awaited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

import pysher

from tests.live import PATIENCE, Server


class Listener:
    """One connection and everything that its callbacks were told, in order."""

    def __init__(self, server: Server, **options: Any) -> None:
        self.told: list[tuple[str, str, Any]] = []
        self._changed = Condition()
        base = {"secure": False, "custom_host": "127.0.0.1", "port": server.port}
        self.pusher = pysher.Pusher(**{"key": "full-key", **base, **options})
        self.connection = self.pusher.connection
        # How long its reader sleeps before it sees that another thread closed the socket; 100
        # seconds otherwise, and no option.
        self.connection.socket_kwargs["ping_timeout"] = 0.1
        self.started = False
        for name in ("connection_established", "error", "ping", "pong"):
            self.connection.bind(f"pusher:{name}", self._hear, f"pusher:{name}")
        # Its channels are made after the request is sent, too late for a quick answer.
        self._pass_on = self.connection.event_handler
        self.connection.event_handler = self._hear_of_channel

    def connect(self) -> str:
        """Return the socket id once it is connected."""
        seen = len(self.told)
        self.start()
        self.wait("", "pusher:connection_established", seen)
        return str(self.connection.socket_id)

    def start(self) -> None:
        self.started = True
        self.pusher.connect()

    def subscribe(self, channel: str, **options: Any) -> Any:
        """Subscribe and return what came with the success."""
        seen = len(self.told)
        self.pusher.subscribe(channel, **options)
        return self.wait(channel, "pusher_internal:subscription_succeeded", seen)

    def wait(self, channel: str, event: str, start: int = 0) -> Any:
        """Return the data of the first such event, at ``start`` or later."""

        def find() -> list[Any]:
            return [data for c, e, data in self.told[start:] if (c, e) == (channel, event)]

        with self._changed:
            came = self._changed.wait_for(find, PATIENCE)
            assert came, f"{event} did not come on {channel!r}, but {self.told[start:]}"
            return find()[0]

    def settle(self) -> None:
        """Return once everything the server sent so far has arrived."""
        seen = len(self.told)
        self.connection.send_ping()
        self.wait("", "pusher:pong", seen)

    def close(self) -> None:
        if self.started:
            self.pusher.disconnect(PATIENCE)

    def _hear(self, data: Any, event: str) -> None:
        self._tell("", event, data)

    def _hear_of_channel(self, event: str, data: Any, channel: str) -> None:
        self._pass_on(event, data, channel)
        self._tell(channel, event, data)

    def _tell(self, channel: str, event: str, data: Any) -> None:
        with self._changed:
            self.told.append((channel, event, data))
            self._changed.notify_all()


@contextmanager
def listening(server: Server, **options: Any) -> Iterator[Listener]:
    """A connected listener, closed afterwards."""
    listener = Listener(server, **options)
    try:
        yield listener
    finally:
        listener.close()
