"""Broadcasters that no settings know, payloads that differ, and queues that an event chooses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

import broadcasting
from broadcasting import PerBroadcaster, ShouldBroadcast, abroadcast, broadcast
from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import flush
from broadcasting.exceptions import BackplaneUnavailable
from broadcasting.signals import broadcast_failed, broadcast_sent
from broadcasting.testing import FakeBroadcasts
from tests.sending.kept import KeptQueue, work
from tests.sending.test_workers import hearing
from tests.testapp.events import Ticked


class Tenants(BaseBroadcaster):
    """One of a tenant's own, that remembers."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.sent: list[Broadcast] = []
        self.is_down = False

    def check(self, broadcast: Broadcast) -> None:
        if "refused" in broadcast.data:
            raise ValueError("never")

    def broadcast(self, broadcast: Broadcast) -> None:
        if self.is_down:
            raise BackplaneUnavailable("down")
        self.sent.append(broadcast)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


class InWorker(Ticked):
    class Meta:
        render = "worker"


@pytest.fixture
def own() -> Tenants:
    built = broadcasters.build({"BACKEND": f"{__name__}.Tenants"})
    assert isinstance(built, Tenants)
    return built


@pytest.fixture(autouse=True)
def _queue(configure: Any, outbox: list[Broadcast]) -> Iterator[None]:
    configure(
        QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"},
        DEFAULT_BROADCASTER="locmem",
        BROADCASTERS={"locmem": {"BACKEND": "locmem"}, "other": {"BACKEND": "locmem"}},
    )
    yield
    KeptQueue.jobs.clear()


class TestBuilt:
    @pytest.mark.parametrize("event", [Ticked, InWorker])
    def test_it_sends_at_once_from_this_process(self, own: Tenants, event: type[Ticked]) -> None:
        with hearing(broadcast_sent) as told:
            event(7).via(own).dispatch()
        assert KeptQueue.jobs == []
        (sent,) = own.sent
        assert (json.loads(sent.data), sent.broadcaster) == ({"number": 7}, "Tenants")
        assert [facts["broadcast"] for facts in told] == [sent]

    @pytest.mark.parametrize("event", [Ticked, InWorker])
    def test_aliases_beside_it_go_their_usual_way(
        self, own: Tenants, outbox: list[Broadcast], event: type[Ticked]
    ) -> None:
        event(7).via("other", own).dispatch()
        assert (len(own.sent), outbox) == (1, [])
        assert work() == []
        assert [sent.broadcaster for sent in outbox] == ["other"]
        assert outbox[0].id == own.sent[0].id

    async def test_so_it_is_in_async_code(self, own: Tenants) -> None:
        await Ticked(1).via(own).adispatch()
        await abroadcast(Ticked(2), via=own)
        Ticked(3).via(own).dispatch()
        assert await asyncio.to_thread(flush, 5)
        assert len(own.sent) == 3

    def test_every_way_to_name_broadcasters_takes_it(self, own: Tenants) -> None:
        broadcast(Ticked(1), via=own)
        broadcast(Ticked(2), via=["other", own])
        broadcasting.on("news").via(own).send()
        with broadcasting.batch():
            Ticked(3).via(own).dispatch()
            assert len(own.sent) == 3
        assert len(own.sent) == 4

    def test_the_last_via_counts(self, own: Tenants, outbox: list[Broadcast]) -> None:
        Ticked(1).via(own).via("other").dispatch()
        work()
        assert (own.sent, len(outbox)) == ([], 1)
        Ticked(1).via("other").via(own).via().dispatch()
        assert work() == []
        assert [sent.broadcaster for sent in outbox] == ["other", "locmem"]

    def test_its_failures_are_those_of_the_event(self, own: Tenants) -> None:
        own.is_down = True
        with hearing(broadcast_failed) as told, pytest.raises(BackplaneUnavailable):
            Ticked(1).via(own).dispatch()
        assert [facts["broadcast"].broadcaster for facts in told] == ["Tenants"]
        with pytest.raises(ValueError, match="never"):
            broadcasting.on("news").with_(a="refused").via(own).send()

    def test_a_fake_records_it(self, broadcasts: FakeBroadcasts, own: Tenants) -> None:
        Ticked(1).via(own, "other").dispatch()
        assert [(r.broadcaster, r.queue) for r in broadcasts.sent] == [
            ("other", "broadcasts"),
            ("Tenants", None),
        ]
        assert own.sent == []

    def test_meta_takes_aliases_only(self, own: Tenants) -> None:
        with pytest.raises(TypeError, match=r"broadcasters: must be an alias of BROADCASTERS"):

            class Mistaken(Ticked):
                class Meta:
                    broadcasters = own

    def test_what_is_no_broadcaster_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"via\(\) takes aliases .* not int, str"):
            Ticked(1).via("other", 3)  # type: ignore[arg-type]

    def test_channels_by_alias_have_none_for_it(self, own: Tenants) -> None:
        with pytest.raises(TypeError, match="given to via"):
            Differing({"n": 1}, {"locmem": "news"}).via(own).dispatch()


class Differing(ShouldBroadcast):
    payload: Any = None
    targets: Any = "news"

    def broadcast_on(self) -> Any:
        return self.targets

    def broadcast_with(self) -> Any:
        return self.payload


class TestPayloads:
    def test_each_broadcaster_has_its_own(self, broadcasts: FakeBroadcasts) -> None:
        payload = PerBroadcaster({"locmem": {"id": 1, "secret": 2}, "other": {"id": 1}})
        Differing(payload).via("locmem", "other").dispatch()
        assert [(r.broadcaster, r.payload) for r in broadcasts.sent] == [
            ("locmem", {"id": 1, "secret": 2}),
            ("other", {"id": 1}),
        ]

    def test_those_of_others_are_left_alone(self, broadcasts: FakeBroadcasts) -> None:
        Differing(PerBroadcaster({"locmem": {"id": 1}, "other": object()})).dispatch()
        assert [r.payload for r in broadcasts.sent] == [{"id": 1}]

    def test_one_without_a_payload_is_a_mistake(self, own: Tenants) -> None:
        event = Differing(PerBroadcaster({"locmem": {"id": 1}}))
        with pytest.raises(TypeError, match=r"broadcast_with\(\) has no payload for 'other'"):
            event.via("locmem", "other").dispatch()
        with pytest.raises(TypeError, match="for a broadcaster without an alias"):
            event.via(own).dispatch()

    def test_an_alias_that_there_is_not_is_named(self) -> None:
        with pytest.raises(TypeError, match=r"payloads for 'nope', which BROADCASTERS lacks"):
            Differing(PerBroadcaster({"nope": {}})).dispatch()

    def test_a_dict_is_a_payload_whatever_its_keys(self, broadcasts: FakeBroadcasts) -> None:
        Differing({"locmem": {"id": 1}}).dispatch()
        assert broadcasts.sent[0].payload == {"locmem": {"id": 1}}


class Choosing(Ticked):
    class Meta:
        queue = "usual"

    def broadcast_queue(self) -> str | None:
        return "high" if self.number > 1 else None


class ChoosingInWorker(Choosing):
    class Meta:
        render = "worker"


class NoName(Ticked):
    def broadcast_queue(self) -> Any:
        return 3


class TestQueues:
    @pytest.mark.parametrize("event", [Choosing, ChoosingInWorker])
    def test_an_event_may_choose_one(self, event: type[Choosing]) -> None:
        event(1).dispatch()
        event(2).dispatch()
        event(2).on_queue("mine").dispatch()
        assert [options.queue for _, _, options in KeptQueue.jobs] == ["usual", "high", "mine"]

    def test_a_fake_knows(self, broadcasts: FakeBroadcasts) -> None:
        Choosing(2).dispatch()
        broadcasts.assert_queued_on("high", Choosing)

    def test_what_is_no_name_is_a_mistake(self) -> None:
        with pytest.raises(TypeError, match=r"broadcast_queue\(\) returns a name or None, not 3"):
            NoName(1).dispatch()
