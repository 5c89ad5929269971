"""Which server a topic is heard at, and a connection to it: one for all, or a Cluster's shards.

Made for one node, on its event loop. Knows nothing of what is heard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from broadcasting.backplanes.redis_line import PLAIN, SHARDED, Words
from broadcasting.backplanes.redis_shards import look_again, node_of
from broadcasting.redis_clients import UNREACHABLE, RedisServer, close_client

# Whatever a URL says: bytes, in the older form of answers, in which what is published looks like
# all others; and a read ends when we say so.
FORM = {"protocol": 2, "decode_responses": False, "socket_timeout": None}

NEWER_FORM = ("maint_notifications_config", "oss_cluster_maint_notifications_handler")
"""What redis-py hands on to connections of the newer form alone."""


class Routes(ABC):
    """Where the topics are."""

    words: ClassVar[Words]

    def __init__(self, server: RedisServer, timeout: float) -> None:
        self._client: Any = server.async_client(timeout)

    @abstractmethod
    async def refresh(self) -> None:
        """Look again which servers there are. Raises one of UNREACHABLE."""

    @abstractmethod
    def address(self, topic: str) -> str:
        """Return the name of the server that has ``topic``. Raises one of UNREACHABLE."""

    @abstractmethod
    def connection(self, topic: str) -> Any:
        """Return a connection, not open yet, to the server that has ``topic``."""

    async def is_current(self, connection: Any) -> bool:
        """Whether ``connection`` leads to where topics still are, as far as can be told."""
        return True

    async def close(self) -> None:
        """Let go of what the servers are asked over."""
        await close_client(self._client)


class OneServer(Routes):
    """By itself, or the one that the Sentinels name at the time."""

    words: ClassVar[Words] = PLAIN

    def __init__(self, server: RedisServer, timeout: float) -> None:
        super().__init__(server, timeout)
        self._pool = self._client.connection_pool
        for name in NEWER_FORM:
            self._pool.connection_kwargs.pop(name, None)
        self._pool.connection_kwargs |= FORM

    async def refresh(self) -> None:
        """Each connection asks the Sentinels when it is opened."""

    def address(self, topic: str) -> str:
        return ""

    def connection(self, topic: str) -> Any:
        return self._pool.make_connection()

    async def is_current(self, connection: Any) -> bool:
        if not hasattr(self._pool, "get_master_address"):
            return True
        try:
            master = await self._pool.get_master_address()
        except UNREACHABLE:  # the Sentinels may be away while the server is well
            return True
        return bool(tuple(master) == (connection.host, connection.port))


class Shards(Routes):
    """The primaries of a Cluster, each with the topics of its slots."""

    words: ClassVar[Words] = SHARDED

    async def refresh(self) -> None:
        await look_again(self._client)

    def address(self, topic: str) -> str:
        return str(node_of(self._client, topic).name)

    def connection(self, topic: str) -> Any:
        node = node_of(self._client, topic)
        options = {**node.connection_kwargs, **FORM}
        for name in NEWER_FORM:
            options.pop(name, None)
        return node.connection_class(**options)
