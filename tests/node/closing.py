"""A server that closes as it is told: close codes that ours sends rarely, or never at will."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from threading import Condition, Thread

from websockets.sync.server import ServerConnection, serve

from tests.live import PATIENCE, Server


class Closing:
    """Closes the first visit of each key with the code it ends in, and keeps the later ones.

    ``late-4200`` is greeted before it is closed, ``early-4200`` hears ``pusher:error`` instead,
    as a server refuses. 1006 is what a client sees that gets no close frame.
    """

    def __init__(self) -> None:
        self.visits: defaultdict[str, list[float]] = defaultdict(list)
        self._changed = Condition()

    def wait_for_return(self, keys: list[str]) -> None:
        """Return once each of ``keys`` has come a second time."""
        with self._changed:
            all_here = self._changed.wait_for(
                lambda: all(len(self.visits[key]) > 1 for key in keys), PATIENCE
            )
        assert all_here, self.visits

    def gaps(self, key: str) -> list[float]:
        """Return the seconds between visits."""
        times = self.visits[key]
        return [after - before for before, after in itertools.pairwise(times)]

    def receive(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        key = connection.request.path.split("?")[0].removeprefix("/app/")
        with self._changed:
            self.visits[key].append(time.monotonic())
            first = len(self.visits[key]) == 1
            self._changed.notify_all()
        when, code = key.split("-")[-2:]
        if first and when == "early":
            say(connection, "pusher:error", {"code": int(code), "message": "No."})
        else:
            greeting = {"socket_id": "1.2", "activity_timeout": 120}
            say(connection, "pusher:connection_established", json.dumps(greeting))
        if not first:
            for _ in connection:
                pass
        elif code == "1006":
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            connection.close(int(code))


def say(connection: ServerConnection, event: str, data: object) -> None:
    connection.send(json.dumps({"event": event, "data": data}))


@contextlib.contextmanager
def closing() -> Iterator[tuple[Server, Closing]]:
    """It runs, and where."""
    behaviour = Closing()
    with standing_in(behaviour.receive) as server:
        yield server, behaviour


@contextlib.contextmanager
def standing_in(receive: Callable[[ServerConnection], None]) -> Iterator[Server]:
    """Where a stand-in runs that does with each connection what ``receive`` does."""
    with serve(receive, "127.0.0.1", 0) as listener:
        thread = Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield Server("uvicorn", listener.socket.getsockname()[1])
        finally:
            listener.shutdown()
            thread.join()
