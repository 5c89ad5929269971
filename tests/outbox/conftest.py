from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.dispatching import flush
from broadcasting.models import OutboxEntry
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue
from broadcasting.queues.outbox.relay import Relay
from tests.outbox.site import FlakyBroadcaster
from tests.sending.conftest import configure

__all__ = ["configure"]

FLAKY = "tests.outbox.site.FlakyBroadcaster"


@pytest.fixture
def outbox(configure: Any) -> Iterator[Callable[..., None]]:
    """Queue into the outbox; call it to change its options."""

    def use(**options: Any) -> None:
        # Attempts follow each other at once, unless a test says otherwise.
        queue = {"BACKEND": "outbox", "OPTIONS": {"backoff": [0.001], "poll": 0.01, **options}}
        configure(
            QUEUE=queue,
            BROADCASTERS={"default": {"BACKEND": FLAKY}, "flaky": {"BACKEND": FLAKY}},
        )

    use()
    FlakyBroadcaster.reset()
    yield use
    assert flush(5)
    FlakyBroadcaster.reset()


def relay() -> int:
    """Hand on what may leave; return how many entries were taken."""
    return a_relay().relay_all()


def a_relay() -> Relay:
    queue = get_queue()
    assert isinstance(queue, OutboxQueue)
    return Relay(queue)


def sent() -> list[int]:
    """The numbers of what was sent, in order."""
    return [json.loads(each.data)["number"] for each in LocmemBroadcaster.outbox]


def waiting(using: str = "default") -> int:
    """How many entries are on their way."""
    return OutboxEntry.objects.using(using).filter(parked_at=None).count()


def all_due() -> None:
    """End every wait for another attempt."""
    OutboxEntry.objects.update(due_at=OutboxEntry.objects.earliest("created_at").created_at)


@contextmanager
def rolled_back(using: str = "default") -> Iterator[None]:
    """A transaction, or a savepoint of one, that is undone at its end."""
    with transaction.atomic(using):
        yield
        transaction.set_rollback(True, using)
