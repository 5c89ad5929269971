"""Several broadcasters for one event."""

from __future__ import annotations

from typing import Any

import pytest

from broadcasting import PrivateChannel, ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.testing import FakeBroadcasts
from tests.sending.kept import KeptQueue, work


class Split(ShouldBroadcast):
    targets: Any = None

    def broadcast_on(self) -> Any:
        return self.targets

    def broadcast_with(self) -> dict[str, int]:
        return {"n": 1}


class SplitInWorker(Split):
    class Meta:
        render = "worker"


def sent(broadcasts: FakeBroadcasts) -> dict[str, list[str]]:
    return {record.broadcaster: [*map(str, record.channels)] for record in broadcasts.sent}


def test_each_may_have_channels_of_its_own(broadcasts: FakeBroadcasts) -> None:
    Split({"default": [PrivateChannel("a"), "b"], "log": "c"}).dispatch()
    assert sent(broadcasts) == {"default": ["private-a", "b"], "log": ["c"]}
    assert len({record.id for record in broadcasts.sent}) == 1


def test_via_chooses_among_them(broadcasts: FakeBroadcasts) -> None:
    Split({"default": "a", "log": "b"}).via("log").dispatch()
    assert sent(broadcasts) == {"log": ["b"]}


@pytest.mark.parametrize(("via", "expected"), [((), ["locmem", "other"]), (("other",), ["other"])])
def test_a_worker_finds_them_too(
    configure: Any, outbox: list[Broadcast], via: tuple[str, ...], expected: list[str]
) -> None:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        DEFAULT_BROADCASTER="locmem",
        BROADCASTERS={"locmem": {"BACKEND": "locmem"}, "other": {"BACKEND": "locmem"}},
    )
    SplitInWorker({"locmem": "a", "other": "b"}).via(*via).dispatch()
    assert [job for job, *_ in KeptQueue.jobs] == ["render"]
    assert work() == []
    assert [broadcast.broadcaster for broadcast in outbox] == expected


@pytest.mark.parametrize("targets", [{}, {"default": None, "log": []}])
def test_no_channel_at_all_sends_nothing(broadcasts: FakeBroadcasts, targets: Any) -> None:
    Split(targets).dispatch()
    broadcasts.assert_nothing_broadcast()


def test_a_broadcaster_that_there_is_not_is_named(broadcasts: FakeBroadcasts) -> None:
    with pytest.raises(TypeError, match=r"Split: .*'nope', which BROADCASTERS lacks"):
        Split({"nope": "a"}).dispatch()
