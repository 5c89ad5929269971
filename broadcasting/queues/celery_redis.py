"""Celery's broker on Redis, with one client for each connection that we publish on.

Its transport makes a client for every message, which costs a third of the whole message.
Nothing else of it changes, and connections that are not ours keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection


def keep_client(connection: Connection) -> None:
    """Let ``connection`` and its clones keep their client, if they go to Redis.

    Does nothing for any other broker, a subclass of the transport for Redis too.
    """
    if connection.transport_cls not in ("redis", "rediss"):
        return
    from kombu.transport.redis import Channel, Transport

    class KeepingChannel(Channel):  # type: ignore[misc]
        _kept: Any = None

        @contextmanager
        def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
            if client is None and self._kept is None:
                self._kept = self._create_client()
            yield client or self._kept

    class KeepingTransport(Transport):  # type: ignore[misc]
        Channel = KeepingChannel

    connection.transport_cls = KeepingTransport
