"""The per-process hub: which local connections listen to which channel.

Synchronous on purpose. Knows nothing of JSON, Redis, Django or time; it only holds
connections and hands them finished frames.
"""

from __future__ import annotations

from collections.abc import Collection

from broadcasting.server.connection import Connection, Frame

Topic = tuple[str, str]
"""Application id and channel name."""


class Hub:
    """The map of listeners of one node."""

    def __init__(self) -> None:
        # A dict keeps the order of joining, and removes in constant time.
        self._listeners: dict[Topic, dict[Connection, None]] = {}

    def join(self, topic: Topic, connection: Connection) -> None:
        """Let ``connection`` hear ``topic`` from now on; twice is once."""
        self._listeners.setdefault(topic, {})[connection] = None

    def leave(self, topic: Topic, connection: Connection) -> None:
        """Let ``connection`` hear ``topic`` no more."""
        listeners = self._listeners.get(topic)
        if listeners is None:
            return
        listeners.pop(connection, None)
        if not listeners:
            del self._listeners[topic]

    def send(self, topic: Topic, frame: Frame, except_socket: str | None = None) -> int:
        """Hand ``frame`` to every listener but ``except_socket``; return how many got it."""
        listeners = self._listeners.get(topic)
        if not listeners:
            return 0
        handed = len(listeners)
        # A copy: a full outbox ends its connection, which edits the map.
        for connection in tuple(listeners):
            if connection.socket_id != except_socket:
                connection.send(frame)
            else:
                handed -= 1
        return handed

    def send_to_others(
        self,
        topic: Topic,
        frame: Frame,
        others_than: Collection[Connection],
        except_socket: str | None = None,
    ) -> int:
        """See send(); leave out several connections, which is rare and costs a little more."""
        listeners = [c for c in self._listeners.get(topic, ()) if c not in others_than]
        wanting = [c for c in listeners if c.socket_id != except_socket]
        for connection in wanting:
            connection.send(frame)
        return len(wanting)

    def count(self, topic: Topic) -> int:
        """Return how many local connections hear ``topic``."""
        return len(self._listeners.get(topic, ()))
