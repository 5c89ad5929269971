"""The hub: one write for a burst, slices for many listeners, and the order that always holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcasting.server import hub as hub_module
from broadcasting.server.connection import Connection
from broadcasting.server.counters import Counters
from broadcasting.server.frames import Frame
from broadcasting.server.hub import Hub
from tests.server.fakes import FakeLane, FakeSocket, connection

A, B, C = (("app", name) for name in "abc")


class Stage:
    """A hub, its listeners on lanes, and turns of a loop that a test plays."""

    def __init__(self) -> None:
        self.ready: list[Callable[[], None]] = []
        self.counters = Counters()
        self.hub = Hub(self.ready.append, self.counters)
        self.lanes: dict[Connection, FakeLane] = {}

    def listener(self, *topics: tuple[str, str]) -> Connection:
        lane = FakeLane()
        one = connection(FakeSocket(), f"1.{len(self.lanes)}", lane=lane)
        self.lanes[one] = lane
        for topic in topics:
            self.hub.join(topic, one)
        return one

    def send(self, topic: tuple[str, str], text: str, *spare: Connection) -> None:
        self.hub.send(topic, Frame(text), spare)

    def turn(self) -> None:
        ready, self.ready[:] = list(self.ready), []
        for callback in ready:
            callback()

    def rest(self) -> None:
        while self.ready:
            self.turn()

    def writes(self, one: Connection) -> list[list[str]]:
        return [texts(wire) for wire in self.lanes[one].written]

    def heard(self, one: Connection) -> list[str]:
        return [text for write in self.writes(one) for text in write]


def texts(wire: bytes) -> list[str]:
    """Return the short texts in the bytes of one write."""
    found = []
    while wire:
        size = wire[1]
        found.append(wire[2 : 2 + size].decode())
        wire = wire[2 + size :]
    return found


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LARGE", 4)
    monkeypatch.setattr(hub_module, "SLICE", 2)


def test_a_burst_is_one_write_for_each_socket(stage: Stage):
    one, other = stage.listener(A), stage.listener(A)
    for text in "xyz":
        stage.send(A, text)
    assert stage.writes(one) == []
    stage.turn()
    assert stage.writes(one) == stage.writes(other) == [["x", "y", "z"]]
    assert stage.counters.frames_out == 6
    assert not stage.ready


def test_bursts_of_channels_with_other_listeners_are_joined_though_mixed(stage: Stage):
    one, other = stage.listener(A), stage.listener(B)
    for number in range(3):
        stage.send(A, f"a{number}")
        stage.send(B, f"b{number}")
    stage.turn()
    assert stage.writes(one) == [["a0", "a1", "a2"]]
    assert stage.writes(other) == [["b0", "b1", "b2"]]


def test_who_hears_several_channels_sees_them_in_their_order(stage: Stage):
    one = stage.listener(A, B)
    for topic, text in ((A, "1"), (A, "2"), (B, "3"), (A, "4"), (B, "5")):
        stage.send(topic, text)
    stage.turn()
    assert stage.heard(one) == ["1", "2", "3", "4", "5"]
    assert stage.writes(one)[0] == ["1", "2"]


def test_who_is_spared_gets_the_rest(stage: Stage):
    one, other = stage.listener(A), stage.listener(A)
    stage.send(A, "x", one)
    stage.send(A, "y")
    stage.turn()
    assert stage.heard(one) == ["y"]
    assert stage.heard(other) == ["x", "y"]
    assert stage.counters.frames_out == 3


def test_a_burst_is_one_write_for_those_as_well_who_are_spared_some_of_it(stage: Stage):
    all_of_them = [stage.listener(A) for _ in range(3)]
    for name, one in zip("xyz", all_of_them, strict=True):
        stage.send(A, name, one)
    stage.hub.leave(A, all_of_them[2])
    stage.turn()
    assert [stage.writes(one) for one in all_of_them] == [[["y", "z"]], [["x", "z"]], [["x", "y"]]]


def test_who_joins_gets_nothing_from_before(stage: Stage):
    early = stage.listener(A)
    stage.send(A, "before")
    late = stage.listener(A)
    stage.send(A, "after")
    stage.turn()
    assert stage.heard(early) == ["before", "after"]
    assert stage.heard(late) == ["after"]


def test_who_leaves_gets_everything_from_before_and_nothing_after(stage: Stage):
    stays, goes = stage.listener(A), stage.listener(A)
    stage.send(A, "before")
    stage.hub.leave(A, goes)
    assert stage.heard(goes) == ["before"]
    stage.send(A, "after")
    stage.hub.join(A, goes)
    stage.send(A, "again")
    stage.turn()
    assert stage.heard(goes) == ["before", "again"]
    assert stage.heard(stays) == ["before", "after", "again"]


def test_the_last_one_that_leaves_takes_along_what_waits(stage: Stage):
    only = stage.listener(A)
    stage.send(A, "x")
    stage.hub.leave(A, only)
    stage.turn()
    assert stage.heard(only) == ["x"]
    assert stage.hub.__dict__["_waiting"] == {}


def test_a_burst_that_has_grown_large_does_not_wait(stage: Stage):
    one = stage.listener(A)
    stage.send(B, "nobody")
    for _ in range(hub_module.BURST_BYTES // 100):
        stage.send(A, "x" * 100)
    (wire,) = stage.lanes[one].written
    assert len(wire) >= hub_module.BURST_BYTES


@pytest.mark.usefixtures("small_slices")
def test_many_listeners_are_written_in_slices_and_others_in_between(stage: Stage):
    many, few = [stage.listener(A) for _ in range(6)], stage.listener(B)
    stage.send(A, "1")
    stage.turn()
    stage.turn()
    assert [len(stage.heard(one)) for one in many] == [1, 1, 0, 0, 0, 0]
    stage.send(A, "2")
    stage.send(B, "between")
    stage.turn()
    assert stage.heard(few) == ["between"]
    assert [stage.heard(one) for one in many] == [["1"]] * 4 + [[]] * 2
    stage.rest()
    assert [stage.heard(one) for one in many] == [["1", "2"]] * 6
    assert stage.counters.frames_out == 13


@pytest.mark.usefixtures("small_slices")
def test_large_channels_take_turns(stage: Stage):
    first = [stage.listener(A) for _ in range(6)]
    second = [stage.listener(B) for _ in range(6)]
    stage.send(A, "a")
    stage.send(B, "b")
    for _ in range(3):
        stage.turn()
    assert [len(stage.heard(one)) for one in first + second] == [1, 1, 0, 0, 0, 0] * 2
    stage.rest()
    assert all(stage.heard(one) for one in first + second)


@pytest.mark.usefixtures("small_slices")
def test_many_channels_are_not_all_written_in_one_turn(stage: Stage):
    topics = [("app", str(number)) for number in range(5)]
    people = [stage.listener(*topics) for _ in range(2)]
    for topic in topics:
        stage.send(topic, f"{topic[1]}.")
    stage.turn()
    # Two channels have as many listeners together as one that is not yet large.
    assert [stage.heard(one) for one in people] == [["0.", "1."]] * 2
    stage.send(A, "nobody")
    stage.send(topics[0], "6.")
    stage.send(topics[3], "7.")
    stage.rest()
    assert [stage.heard(one) for one in people] == [["0.", "1.", "2.", "3.", "4.", "6.", "7."]] * 2


@pytest.mark.usefixtures("small_slices")
def test_who_leaves_between_slices_has_the_rest_once(stage: Stage):
    many = [stage.listener(A) for _ in range(6)]
    stage.send(A, "1")
    stage.turn()
    stage.turn()
    for one in (many[0], many[5]):
        stage.hub.leave(A, one)
        assert stage.heard(one) == ["1"]
        stage.hub.join(A, one)
    stage.send(A, "2")
    stage.rest()
    assert [stage.heard(one) for one in many] == [["1", "2"]] * 6


@pytest.mark.usefixtures("small_slices")
def test_a_socket_that_went_between_slices_is_skipped(stage: Stage):
    many = [stage.listener(A) for _ in range(6)]
    stage.send(A, "1")
    stage.turn()
    many[5].lose()
    stage.hub.leave(A, many[5])
    stage.rest()
    assert [stage.heard(one) for one in many] == [["1"]] * 5 + [[]]


@pytest.mark.usefixtures("small_slices")
def test_events_that_come_faster_than_slices_are_written_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub_module, "BURST_BYTES", 10)
    monkeypatch.setattr(hub_module, "BACKLOG_BYTES", 100)
    many = [stage.listener(A) for _ in range(6)]
    sent = [str(number) for number in range(40)]
    for text in sent:
        stage.send(A, text)
    assert stage.counters.backlogs > 0
    stage.rest()
    assert all(stage.heard(one) == sent for one in many)


TOPIC = st.sampled_from([A, B, C])
WHO = st.integers(0, 7)
STEP = st.one_of(
    st.tuples(st.just("join"), TOPIC, WHO),
    st.tuples(st.just("leave"), TOPIC, WHO),
    st.tuples(st.just("send"), TOPIC, st.none() | WHO),
    st.tuples(st.just("send"), TOPIC, st.none()),
    st.tuples(st.just("turn")),
    st.tuples(st.just("flush")),
)


@settings(max_examples=400)
@given(steps=st.lists(STEP, max_size=60), large=st.sampled_from([3, 10, 100]))
def test_it_hands_out_the_same_as_a_hub_that_never_waits(steps: list[Any], large: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "LARGE", large)
        patch.setattr(hub_module, "SLICE", 2)
        stage = Stage()
        people = [stage.listener() for _ in range(8)]
        listeners: dict[Any, list[Connection]] = defaultdict(list)
        expected: dict[Connection, list[str]] = defaultdict(list)
        for number, (what, *rest) in enumerate(steps):
            match what, rest:
                case "join", [topic, who]:
                    stage.hub.join(topic, people[who])
                    if people[who] not in listeners[topic]:
                        listeners[topic].append(people[who])
                case "leave", [topic, who]:
                    stage.hub.leave(topic, people[who])
                    if people[who] in listeners[topic]:
                        listeners[topic].remove(people[who])
                case "send", [topic, who]:
                    spare = [] if who is None else [people[who]]
                    stage.send(topic, f"{topic[1]}{number}", *spare)
                    for one in listeners[topic]:
                        if one not in spare:
                            expected[one].append(f"{topic[1]}{number}")
                case "turn", []:
                    stage.turn()
                case "flush", []:
                    stage.hub.flush()
        stage.rest()
        for one in people:
            if large > len(people) and not any(what == "leave" for what, *_ in steps):
                assert stage.heard(one) == expected[one]
            for name in "abc":
                mine = [text for text in stage.heard(one) if text[0] == name]
                assert mine == [text for text in expected[one] if text[0] == name]
        assert stage.counters.frames_out == sum(map(len, expected.values()))
