"""Looks at everything in turns: some of it each time, so that no look takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Rota(Generic[T]):
    """What is there when a round begins has its turn in it, and what comes later in the next."""

    __slots__ = ("_at_once", "_everything", "_rest")

    def __init__(self, everything: Callable[[], Iterable[T]], at_once: int) -> None:
        self._everything = everything
        self._at_once = at_once
        self._rest: list[T] = []

    def some(self) -> list[T]:
        """Return the next ones; some may be gone since the round began."""
        if not self._rest:
            self._rest = list(self._everything())
        some = self._rest[-self._at_once :]
        del self._rest[-self._at_once :]
        return some
