from __future__ import annotations

import pytest

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import NotSupported, PublishError


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


def test_of_several_all_are_tried_and_the_first_error_is_raised() -> None:
    picky = Picky()
    with pytest.raises(PublishError) as raised:
        picky.broadcast_many(MANY)
    assert picky.sent == ["good.1", "good.2"]
    assert str(raised.value) == "bad.1"
    assert raised.value.__notes__ == ["Also: PublishError: bad.2"]


async def test_of_several_all_are_tried_from_async_code_too() -> None:
    picky = Picky()
    with pytest.raises(PublishError) as raised:
        await picky.abroadcast_many(MANY)
    assert picky.sent == ["good.1", "good.2"]
    assert str(raised.value) == "bad.1"
    assert raised.value.__notes__ == ["Also: PublishError: bad.2"]


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
