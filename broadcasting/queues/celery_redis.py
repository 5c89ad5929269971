"""Connections to Celery's broker; those to Redis keep one client each.

Its transport makes a client for every message, at a third of what the message costs. Nothing
else of it changes, and connections that are not ours stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection
from kombu.connection import ConnectionPool


class Connections(ConnectionPool):
    """kombu's pool of connections."""

    def new(self) -> Connection:
        connection: Connection = super().new()
        # Not for Sentinel, nor anything else that has a transport of its own.
        if connection.transport_cls == "redis":
            connection.transport_cls = _keeping_transport()  # type: ignore[assignment]
        return connection


def _keeping_transport() -> type:
    # It needs redis-py, which sites with another broker need not have.
    from kombu.transport.redis import Channel, Transport

    class KeepingChannel(Channel):
        _kept: Any = None

        @contextmanager
        def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
            if client is None and self._kept is None:
                with super().conn_or_acquire() as self._kept:
                    pass
            yield client or self._kept

    class KeepingTransport(Transport):
        pass

    KeepingTransport.Channel = KeepingChannel
    return KeepingTransport
