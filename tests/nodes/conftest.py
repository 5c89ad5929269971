"""Several servers of one site: they share a Valkey, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest

from tests import live
from tests.conftest import Valkey
from tests.live import Server
from tests.webhooks.receiver import Receiver, receiving

LEASE = 1.5
"""Seconds; the default is 9."""


def environment(valkey: Valkey, backplane: str = "redis") -> dict[str, str]:
    """Return what makes a server one of several."""
    return {
        "REDIS_URL": valkey.url,
        "BROADCAST_BACKPLANE": backplane,
        "BROADCAST_LEASE": str(LEASE),
    }


@contextlib.contextmanager
def running(count: int, env: Mapping[str, str]) -> Iterator[list[Server]]:
    """So many servers that run, stopped afterwards."""
    servers = [Server("uvicorn", live.free_port(), env) for _ in range(count)]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()
            server.log.unlink(missing_ok=True)


@pytest.fixture(scope="module", params=["redis", "channel_layer"])
def nodes(request: pytest.FixtureRequest, valkey: Valkey) -> Iterator[list[Server]]:
    """Three nodes, of one backplane and then of the other. They live as long as a module."""
    with running(3, environment(valkey, request.param)) as servers:
        yield servers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint for webhooks."""
    with receiving() as endpoint:
        yield endpoint
