"""What the server states to those who look on: once each, in order, and when it is sure."""

from __future__ import annotations

import asyncio
import gc

import pytest

from broadcasting import occurrences
from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application
from broadcasting.protocol.messages import ClientEvent
from broadcasting.protocol.protocol import Member
from broadcasting.server.node import get_node
from broadcasting.server.reporting import Reporter
from tests.server.fakes import APPLICATION, FakeSocket, connection

GRACE = 0.05


class Witness:
    """An observer with a memory."""

    def __init__(self) -> None:
        self.seen: list[Occurrence] = []
        self.names: set[str] = {*occurrences.NAMES}
        self.told = asyncio.Event()

    def wants(self, application: Application, name: str) -> bool:
        return name in self.names

    def tell(self, occurrence: Occurrence) -> None:
        self.seen.append(occurrence)
        self.told.set()

    @property
    def lines(self) -> list[str]:
        return [
            " ".join(part for part in (one.name, one.channel, one.user_id) if part)
            for one in self.seen
        ]

    async def more(self) -> None:
        self.told.clear()
        async with asyncio.timeout(5):
            await self.told.wait()


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    looking = Witness()
    monkeypatch.setattr(occurrences, "_observers", (looking,))
    return looking


def reporter() -> Reporter:
    return Reporter(asyncio.get_running_loop(), GRACE)


async def test_who_stays_away_has_left(witness: Witness):
    """200, 201, 202."""
    states = reporter()
    states.occupied(APPLICATION, "presence-c")
    states.member_added(APPLICATION, "presence-c", "7")
    states.member_removed(APPLICATION, "presence-c", "7")
    states.vacated(APPLICATION, "presence-c")
    came = ["channel_occupied presence-c", "member_added presence-c 7"]
    assert witness.lines == came
    await witness.more()
    assert witness.lines == [*came, "member_removed presence-c 7", "channel_vacated presence-c"]


async def test_who_returns_in_time_never_left(witness: Witness):
    """201, 202."""
    states = reporter()
    for _ in range(2):
        states.occupied(APPLICATION, "c")
        states.member_added(APPLICATION, "c", "7")
        states.member_removed(APPLICATION, "c", "7")
        states.vacated(APPLICATION, "c")
    states.occupied(APPLICATION, "c")
    states.vacated(APPLICATION, "other")
    await witness.more()
    assert witness.lines == [
        "channel_occupied c",
        "member_added c 7",
        "member_removed c 7",
        "channel_vacated other",
    ]


async def test_a_return_is_not_told_to_those_who_only_ask_who_comes(witness: Witness):
    """201."""
    witness.names = {"channel_occupied"}
    states = reporter()
    for _ in range(3):
        states.occupied(APPLICATION, "c")
        states.vacated(APPLICATION, "c")
    assert witness.lines == ["channel_occupied c"]


async def test_each_leave_waits_its_whole_time(witness: Witness):
    loop, states = asyncio.get_running_loop(), reporter()
    states.vacated(APPLICATION, "c")
    states.occupied(APPLICATION, "c")
    await asyncio.sleep(GRACE / 2)  # the clock itself is what is tested
    states.vacated(APPLICATION, "c")
    left = loop.time()
    await witness.more()
    assert witness.lines == ["channel_vacated c"]
    assert loop.time() - left >= GRACE * 0.9


def kept() -> int:
    """Return how many there are, those of other tests included."""
    gc.collect()
    return sum(type(thing) is Occurrence for thing in gc.get_objects())


async def test_who_comes_and_goes_without_end_waits_once(witness: Witness):
    states, before = reporter(), kept()
    for _ in range(1_000):
        states.vacated(APPLICATION, "c")
        states.occupied(APPLICATION, "c")
    states.vacated(APPLICATION, "c")
    assert kept() - before == 1
    states.close()
    assert witness.lines == ["channel_vacated c"]


async def test_a_node_that_ends_states_what_waits(witness: Witness):
    states = reporter()
    states.vacated(APPLICATION, "c")
    states.close()
    assert witness.lines == ["channel_vacated c"]


async def test_applications_do_not_cancel_each_others_leaves(witness: Witness):
    """218."""
    states = reporter()
    states.vacated(APPLICATION, "c")
    states.occupied(Application(id="second", key="k", secret="s"), "c")
    states.close()
    assert [(o.name, o.application.id) for o in witness.seen] == [
        ("channel_occupied", "second"),
        ("channel_vacated", "app"),
    ]


async def test_an_empty_cache_channel_is_told_once_a_second(witness: Witness):
    """204."""
    states = reporter()
    for _ in range(3):
        states.cache_miss(APPLICATION, "cache-c")
    states.cache_miss(APPLICATION, "cache-d")
    assert witness.lines == ["cache_miss cache-c", "cache_miss cache-d"]


@pytest.mark.parametrize(
    ("data", "text"), [("as it is", "as it is"), ({"é": [1]}, '{"é":[1]}'), (None, "null")]
)
async def test_a_whispers_data_is_text(witness: Witness, data: object, text: str):
    """203."""
    message = ClientEvent(event="client-x", channel="private-c", data=data)
    reporter().client_event(APPLICATION, message, "1.1", None)
    assert witness.seen[0].data == text
    assert witness.seen[0].socket_id == "1.1"
    assert witness.seen[0].user_id is None


async def test_an_observer_that_fails_hides_nothing(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """244."""

    class Broken(Witness):
        def tell(self, occurrence: Occurrence) -> None:
            raise ZeroDivisionError

    monkeypatch.setattr(occurrences, "_observers", (Broken(), witness))
    reporter().connected(APPLICATION, "1.1")
    assert witness.lines == ["connected"]
    assert "ZeroDivisionError" in caplog.text


async def test_a_visit_is_told_in_the_order_of_its_steps(witness: Witness):
    """200, 202."""
    node = get_node()
    visitor = connection(FakeSocket(), "1.1")
    await node.connect(visitor)
    await node.subscriptions.enter(visitor, "presence-c", Member(user_id="7"))
    await node.subscriptions.enter_again(visitor, "presence-c", Member(user_id="7"))
    await node.disconnect(visitor)
    node.finish()
    assert witness.lines == [
        "connected",
        "channel_occupied presence-c",
        "member_added presence-c 7",
        "disconnected",
        "member_removed presence-c 7",
        "channel_vacated presence-c",
    ]
