from __future__ import annotations

import asyncio

from broadcasting.protocol.application import Application
from broadcasting.server.counts import MANY, Counts
from tests.server.fakes import APPLICATION

INTERVAL = 0.05


class Told:
    """What was told, and when there is more of it."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.changed = asyncio.Event()

    def __call__(self, application: Application, channel: str, count: int, order: int) -> None:
        self.counts.append(count)
        self.changed.set()

    async def more(self) -> None:
        self.changed.clear()
        async with asyncio.timeout(5):
            await self.changed.wait()


def counts(told: Told) -> Counts:
    return Counts(asyncio.get_running_loop(), INTERVAL, told)


async def test_few_are_told_of_every_change():
    """160, 161."""
    told = Told()
    few = counts(told)
    for count in (1, 2, 1, 0):
        few.changed(APPLICATION, "c", count)
    assert told.counts == [1, 2, 1, 0]


async def test_many_are_told_the_last_of_an_interval():
    """163."""
    told = Told()
    many = counts(told)
    for count in range(MANY + 1, MANY + 50):
        many.changed(APPLICATION, "c", count)
    assert told.counts == [MANY + 1]
    await told.more()
    assert told.counts == [MANY + 1, MANY + 49]
    many.changed(APPLICATION, "c", MANY + 48)
    many.changed(APPLICATION, "d", 1)
    assert told.counts[2:] == [1]
    await told.more()
    assert told.counts[3:] == [MANY + 48]
    many.close()


async def test_who_become_few_are_told_at_once():
    """163."""
    told = Told()
    many = counts(told)
    many.changed(APPLICATION, "c", MANY + 1)
    many.changed(APPLICATION, "c", MANY + 2)
    many.changed(APPLICATION, "c", MANY)
    assert told.counts == [MANY + 1, MANY]
    assert many._pauses == {}
