"""Stretches of code that broadcast nothing, such as imports and migrations of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_muted: ContextVar[bool] = ContextVar("broadcasting_muted", default=False)


@contextmanager
def muted() -> Iterator[None]:
    """Drop every event that is dispatched inside, in this thread or task and what it awaits.

    For sync and async code alike; nests. An event that was dispatched before, and waits for its
    commit, is sent all the same. Listeners still run.
    """
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


def is_muted() -> bool:
    """Whether what is dispatched here and now is dropped."""
    return _muted.get()
