"""What a transaction may come to, played one after the other with an event in each.

Whoever plays them says how it dispatches; the report says what that raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

from django.db import transaction

from broadcasting.exceptions import PublishError

Send = Callable[[int], None]
"""Dispatch the event of this number."""


class Said(TypedDict):
    """What came of one outcome."""

    outcome: str
    error: str | None
    """The name of the exception that the caller saw."""

    seconds: float


def no_transaction(send: Send) -> None:
    send(1)


def commit(send: Send) -> None:
    with transaction.atomic():
        send(2)


def rollback(send: Send) -> None:
    with transaction.atomic():
        send(3)
        transaction.set_rollback(True)


def savepoint_kept(send: Send) -> None:
    with transaction.atomic():
        with transaction.atomic():
            send(4)
        send(5)


def savepoint_undone(send: Send) -> None:
    with transaction.atomic():
        send(6)
        with transaction.atomic():
            send(7)
            transaction.set_rollback(True)
        send(8)


def both_undone(send: Send) -> None:
    with transaction.atomic():
        with transaction.atomic():
            send(9)
        transaction.set_rollback(True)


OUTCOMES: tuple[Callable[[Send], None], ...] = (
    no_transaction,
    commit,
    rollback,
    savepoint_kept,
    savepoint_undone,
    both_undone,
)
DROPPED = (3, 7, 9)
"""The numbers of what was rolled back."""

KEPT = (1, 2, 4, 5, 6, 8)


def play(outcome: Callable[[Send], None], send: Send) -> Said:
    """Play one of OUTCOMES."""
    began = time.perf_counter()
    error = None
    try:
        outcome(send)
    except PublishError as problem:
        error = type(problem).__name__
    seconds = time.perf_counter() - began
    return {"outcome": outcome.__name__, "error": error, "seconds": seconds}


def play_all(send: Send) -> list[Said]:
    """Play each of OUTCOMES in turn."""
    return [play(outcome, send) for outcome in OUTCOMES]
