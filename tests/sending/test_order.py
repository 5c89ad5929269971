"""In which order an event is asked, queued, sent and told of."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from broadcasting import ShouldBroadcast
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.queues import get_queue
from tests.sending.kept import KeptQueue
from tests.sending.test_handing_on import Failing


class Asked(ShouldBroadcast):
    wanted: bool = True

    steps: ClassVar[list[str]] = []

    def broadcast_when(self) -> bool:
        self.steps.append("when")
        return self.wanted

    def broadcast_as(self) -> str:
        self.steps.append("as")
        return "asked"

    def broadcast_on(self) -> str:
        self.steps.append("on")
        return "news"

    def broadcast_with(self) -> dict[str, Any]:
        self.steps.append("with")
        return {}


class Noting(KeptQueue):
    def push(self, job: str, payload: dict[str, Any], options: Any) -> None:
        Asked.steps.append("queue")


@pytest.fixture
def steps(configure: Any) -> list[str]:
    configure(
        QUEUE={"BACKEND": f"{__name__}.Noting"},
        BROADCASTERS={
            "default": {"BACKEND": "locmem"},
            "failing": {"BACKEND": f"{Failing.__module__}.Failing"},
        },
    )
    assert isinstance(get_queue(), Noting)
    Asked.steps.clear()
    return Asked.steps


async def test_an_event_is_asked_and_then_queued(steps: list[str]) -> None:
    """App 7: condition, then the rest, then the queue."""
    await Asked().adispatch()
    assert steps == ["when", "as", "on", "with", "queue"]


async def test_one_that_is_not_wanted_is_asked_nothing_else(steps: list[str]) -> None:
    """App 7: the condition comes first."""
    await Asked(wanted=False).adispatch()
    Asked(wanted=False).now().dispatch()
    assert steps == ["when", "when"]


class Rescued(Asked):
    class Meta:
        rescue = True


@pytest.mark.parametrize("kind", [Asked, Rescued])
def test_a_failure_to_send_at_once_ends_what_it_was_part_of_unless_it_is_rescued(
    steps: list[str], kind: type[Asked]
) -> None:
    """App 7: what does not wait is sent in its caller's own time."""

    def ship() -> None:
        kind().via("failing").now().dispatch()
        steps.append("told the customer")

    if kind is Asked:
        with pytest.raises(BackplaneUnavailable):
            ship()
    else:
        ship()
    assert ("told the customer" in steps) == (kind is Rescued)
    assert "queue" not in steps
