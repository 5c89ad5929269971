"""Commands to Redis or Valkey from sync code, over redis-py's connections without its pool.

That pool times, counts and reports whatever is done with a connection, which takes about as
long as the command. Here each thread that has something to say takes a connection, or makes one.
"""

from __future__ import annotations

import os
import time
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from broadcasting.redis_clients import RedisServer

LOOK_SECONDS = 1.0


class RedisCommands:
    """Sends one command at a time, from any thread. ``timeout``: seconds for each step of it."""

    def __init__(self, server: RedisServer, timeout: float) -> None:
        # Only makes the connections.
        self._client = server.client(timeout)
        self._factory: Any = self._client.connection_pool
        # By process: a child of a fork must not talk on its parent's connections.
        self._idle: dict[int, list[Any]] = {}

    def run(self, *words: str) -> Any:
        """Return the server's answer. Raises RedisError, and OSError."""
        idle = self._idle.get(os.getpid())
        if idle is None:
            idle = self._idle.setdefault(os.getpid(), [])
        connection = self._open(idle)
        try:
            connection.send_command(*words, check_health=False)
            answer = connection.read_response()
        except BaseException:
            # Nobody knows what is still on its way.
            connection.disconnect()
            raise
        idle.append(connection)
        return answer

    def close(self) -> None:
        """Let the idle connections of this process go."""
        for connection in self._idle.pop(os.getpid(), []):
            connection.disconnect()

    def _open(self, idle: list[Any]) -> Any:
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._factory.make_connection()
        else:
            if not _is_stale(connection):
                return connection
            connection.disconnect()
        connection.connect()
        return connection


class SentinelCommands(RedisCommands):
    """To the master that the Sentinels name. One that was replaced may go on answering.

    For seconds it takes what is published, and tells nobody. So where nobody got something, the
    Sentinels are asked, at most once in LOOK_SECONDS.
    """

    def __init__(self, server: RedisServer, timeout: float) -> None:
        super().__init__(server, timeout)
        self._looked = 0.0

    def run(self, *words: str) -> Any:
        answer = super().run(*words)
        if answer == 0 and self._has_moved():
            self.close()
            answer = super().run(*words)
        return answer

    def _has_moved(self) -> bool:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        before = self._factory.master_address
        try:
            return bool(self._factory.get_master_address() != before)
        except (RedisError, OSError):  # the Sentinels may be away while the server is well
            return False


def commands_to(server: RedisServer, timeout: float) -> RedisCommands:
    """Return what sends to ``server``, which is no Cluster."""
    return (SentinelCommands if server.sentinels else RedisCommands)(server, timeout)


def _is_stale(connection: Any) -> bool:
    """Whether the server hung up since it was last used, or said something unasked."""
    try:
        return bool(connection.can_read())
    except (RedisConnectionError, OSError):
        return True
