"""Events and a broadcaster for these tests: it can be told which channels fail."""

from __future__ import annotations

from typing import ClassVar

from broadcasting import ShouldBroadcast
from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcasterUnavailable


class FlakyBroadcaster(LocmemBroadcaster):
    """Keeps what it is given, but for channels whose transport is down, or that have a bug."""

    down: ClassVar[set[str]] = set()
    faulty: ClassVar[set[str]] = set()
    seen: ClassVar[list[str]] = []
    """The id of each broadcast that was tried."""

    def broadcast(self, broadcast: Broadcast) -> None:
        self.seen.append(broadcast.id)
        if self.down.intersection(broadcast.channels):
            raise BroadcasterUnavailable("down")
        if self.faulty.intersection(broadcast.channels):
            raise RuntimeError("a bug")
        super().broadcast(broadcast)

    @classmethod
    def reset(cls) -> None:
        cls.clear()
        cls.down, cls.faulty, cls.seen = set(), set(), []


class Said(ShouldBroadcast):
    number: int
    where: tuple[str, ...] = ("news",)

    def broadcast_on(self) -> list[str]:
        return list(self.where)

    def broadcast_with(self) -> dict[str, int]:
        return {"number": self.number}


class SaidAtOnce(Said):
    class Meta:
        after_commit = False


class SaidNow(Said):
    class Meta:
        now = True


class SaidOnce(Said):
    class Meta:
        unique = True


class SaidElsewhere(Said):
    class Meta:
        using = "other"


class SaidToTwo(Said):
    class Meta:
        broadcasters = ("default", "flaky")
