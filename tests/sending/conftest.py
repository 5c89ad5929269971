from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.queues import register

# What the entry point gives; here for checkouts that are not installed.
from broadcasting.testing.plugin import broadcasts

__all__ = ["broadcasts"]

Configure = Any


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Change keys of ``BROADCASTING`` for one test."""

    def change(**keys: Any) -> None:
        settings.BROADCASTING = deepcopy(settings.BROADCASTING) | keys

    return change


@pytest.fixture
def outbox(configure: Configure) -> Iterator[list[Broadcast]]:
    """What was really sent, through the ``locmem`` broadcaster."""
    configure(DEFAULT_BROADCASTER="locmem")
    LocmemBroadcaster.clear()
    yield LocmemBroadcaster.outbox
    assert flush(5)
    LocmemBroadcaster.clear()


@pytest.fixture
def given_up() -> list[dict[str, Any]]:
    """What the job ``failing``, which always fails, was given up with."""
    told: list[dict[str, Any]] = []

    def fail(payload: dict[str, Any]) -> None:
        raise BackplaneUnavailable("down")

    register("failing", fail, failed=lambda payload, error: told.append(payload))
    return told
