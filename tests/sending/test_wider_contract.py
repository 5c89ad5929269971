from __future__ import annotations

import copy

import pytest

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import NotAllSent, NotSupported, PublishError


class Picky(BaseBroadcaster):
    """Refuses what is called bad."""

    def __init__(self) -> None:
        super().__init__({})
        self.sent: list[str] = []

    def broadcast(self, broadcast: Broadcast) -> None:
        if broadcast.name.startswith("bad"):
            raise PublishError(broadcast.name)
        self.sent.append(broadcast.name)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


MANY = [
    Broadcast(name=name, channels=("orders",), data="{}", broadcaster="default")
    for name in ("bad.1", "good.1", "bad.2", "good.2")
]


def test_of_several_all_are_tried_and_those_that_failed_are_named() -> None:
    picky = Picky()
    with pytest.raises(NotAllSent) as raised:
        picky.broadcast_many(MANY)
    assert picky.sent == ["good.1", "good.2"]
    assert [(broadcast.name, str(error)) for broadcast, error in raised.value.failures] == [
        ("bad.1", "bad.1"),
        ("bad.2", "bad.2"),
    ]
    assert str(raised.value) == "PublishError: bad.1, and 1 more"


async def test_of_several_all_are_tried_from_async_code_too() -> None:
    picky = Picky()
    with pytest.raises(NotAllSent) as raised:
        await picky.abroadcast_many(MANY)
    assert picky.sent == ["good.1", "good.2"]
    assert [(broadcast.name, str(error)) for broadcast, error in raised.value.failures] == [
        ("bad.1", "bad.1"),
        ("bad.2", "bad.2"),
    ]
    assert str(raised.value) == "PublishError: bad.1, and 1 more"


def test_what_failed_survives_the_way_between_processes() -> None:
    error = NotAllSent([(MANY[0], PublishError("away")), (MANY[0], PublishError("again"))])
    copied = copy.deepcopy(error)
    assert [(one, str(why)) for one, why in copied.failures] == [(MANY[0], "away")]


@pytest.mark.parametrize(
    ("deed", "arguments"),
    [
        ("channels", ()),
        ("channel", ("orders",)),
        ("members", ("presence-chat",)),
        ("disconnect", ("7",)),
        ("revoke", ("7", "private-orders.1")),
    ],
)
async def test_what_a_driver_cannot_do_it_says(deed: str, arguments: tuple[str, ...]) -> None:
    picky = Picky()
    with pytest.raises(NotSupported, match="Picky cannot"):
        getattr(picky, deed)(*arguments)
    with pytest.raises(NotSupported, match="Picky cannot"):
        await getattr(picky, f"a{deed}")(*arguments)
