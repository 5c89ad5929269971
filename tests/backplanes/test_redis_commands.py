"""Commands over connections that are kept: none is used that went stale, or is a parent's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError, ResponseError

from broadcasting.backplanes.redis_commands import RedisCommands
from broadcasting.redis_clients import server_of
from tests.conftest import Valkey

SECONDS = 5.0


@pytest.fixture
def commands(valkey: Valkey) -> Iterator[RedisCommands]:
    made = RedisCommands(server_of({"url": valkey.url}, ""), SECONDS)
    yield made
    made.close()


def connection_of(commands: RedisCommands) -> int:
    """The server's number for the connection that is used."""
    return int(commands.run("CLIENT", "ID"))


def test_one_connection_is_kept(commands: RedisCommands) -> None:
    assert connection_of(commands) == connection_of(commands)


def test_one_that_the_server_closed_is_replaced_unseen(
    commands: RedisCommands, valkey: Valkey
) -> None:
    before = connection_of(commands)
    valkey.server.client().execute_command("CLIENT", "KILL", "ID", before)
    assert connection_of(commands) != before


def test_a_refusal_is_raised_and_the_next_command_runs(commands: RedisCommands) -> None:
    with pytest.raises(ResponseError):
        commands.run("NONSENSE")
    assert commands.run("PING") in (True, b"PONG")


def test_no_server_is_an_error(tmp_path: Path) -> None:
    commands = RedisCommands(server_of({"url": f"unix://{tmp_path}/nobody"}, ""), SECONDS)
    for _ in range(2):
        with pytest.raises((RedisError, OSError)):
            commands.run("PING")


def test_a_forked_child_has_connections_of_its_own(commands: RedisCommands) -> None:
    before = connection_of(commands)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child ends without telling
        try:
            os._exit(0 if connection_of(commands) != before else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert connection_of(commands) == before
