"""Several servers of one site: they share a Valkey, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests import live
from tests.conftest import Valkey
from tests.live import Server
from tests.webhooks.receiver import Receiver, receiving

LEASE = 1.5
"""Seconds; the default is 9."""


def environment(valkey: Valkey, backplane: str = "redis", **more: str) -> dict[str, str]:
    """Return what makes a server one of several, and ``more``."""
    return {
        "REDIS_URL": valkey.url,
        "BROADCAST_BACKPLANE": backplane,
        "BROADCAST_LEASE": str(LEASE),
        **more,
    }


@contextlib.contextmanager
def running(*environments: dict[str, str]) -> Iterator[list[Server]]:
    """A server of each environment, all stopped afterwards."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(live.serving("uvicorn", env)) for env in environments]


@pytest.fixture(scope="module", params=["redis", "channel_layer"])
def nodes(request: pytest.FixtureRequest, valkey: Valkey) -> Iterator[list[Server]]:
    """Three nodes, of one backplane and then of the other. They live as long as a module."""
    with running(*[environment(valkey, request.param)] * 3) as servers:
        yield servers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint for webhooks."""
    with receiving() as endpoint:
        yield endpoint
