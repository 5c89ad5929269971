"""Whatever happens to a cluster, all is right again afterwards; and what is not would be seen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broadcasting.backplanes import Envelope
from broadcasting.server.counts import Counts
from broadcasting.server.lease import LeaseKeeper
from broadcasting.server.node import Node
from broadcasting.server.reporting import Reporter
from broadcasting.server.rosters import Rosters
from broadcasting.server.users import Users
from tests.simulator.scenario import Outcome, run

FEW = range(1, 61)

MANY = [range(start, start + 200) for start in range(61, 1_061, 200)]

ENOUGH = 400
"""Seeds among which one shows each of the defects below."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Servers that are cut off and killed say a lot."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def failures(seeds: range) -> list[str]:
    return [outcome.line for outcome in map(run, seeds) if outcome.faults]


def test_all_is_right_after_whatever_happens() -> None:
    assert failures(FEW) == []


@pytest.mark.full
@pytest.mark.parametrize("seeds", MANY, ids=str)
def test_all_is_right_after_much_more(seeds: range) -> None:
    assert failures(seeds) == []


def test_a_seed_decides_everything() -> None:
    def told(outcome: Outcome) -> tuple[list[str], int]:
        return outcome.story, outcome.steps

    for seed in range(5):
        assert told(run(seed)) == told(run(seed))
    assert told(run(1)) != told(run(2))


def test_seeds_do_all_the_harm_there_is() -> None:
    missing = {"kill", "drain", "freeze", "flush", "cut registry of", "cut backplane of"}
    for seed in range(100):
        if not missing:
            return
        missing -= run(seed).deeds
    assert not missing


def _nothing(*args: object, **options: object) -> None:
    """Instead of something that is needed."""


async def _nothing_async(*args: object, **options: object) -> None:
    """See _nothing()."""


def _twice(method: Callable[..., None]) -> Callable[..., None]:
    def call(*args: Any) -> None:
        method(*args)
        method(*args)

    return call


def _receive_again(node: Node, envelope: Envelope) -> None:
    if envelope.kind == "event":
        RECEIVE(node, envelope)
    RECEIVE(node, envelope)


RECEIVE = Node.receive


@pytest.mark.full
@pytest.mark.parametrize(
    ("owner", "name", "defect"),
    [
        pytest.param(LeaseKeeper, "_enter", _nothing_async, id="not coming back from a freeze"),
        pytest.param(LeaseKeeper, "owe", _nothing, id="forgetting who left during an outage"),
        pytest.param(Rosters, "compare", _nothing, id="never looking for what was missed"),
        pytest.param(Counts, "is_wrong", lambda *args: False, id="trusting the last count"),
        pytest.param(Users, "compare", _nothing_async, id="trusting what was said of users"),
        pytest.param(Node, "receive", _receive_again, id="delivering events twice"),
        pytest.param(Reporter, "sure", _twice(Reporter.sure), id="stating departures twice"),
    ],
)
def test_defects_are_seen(
    owner: type, name: str, defect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, defect)
    assert any(run(seed).faults for seed in range(ENOUGH))
