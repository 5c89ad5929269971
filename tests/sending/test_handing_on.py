"""What happens to a rendered event: isolation, rescue, the background publisher."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from broadcasting import ShouldBroadcast
from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching import failures, flush
from broadcasting.exceptions import BackplaneUnavailable, NoServerHere, PayloadError
from broadcasting.queues import BaseQueue, JobOptions, arun, register, run
from tests.testapp.events import Ticked

Outbox = list[Broadcast]


class Failing(BaseBroadcaster):
    def broadcast(self, broadcast: Broadcast) -> None:
        raise BackplaneUnavailable(f"{broadcast.broadcaster} is down")

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


class Gated(BaseBroadcaster):
    """Waits for permission, as a slow transport does."""

    opened = threading.Event()
    threads: list[str] = []  # noqa: RUF012

    def broadcast(self, broadcast: Broadcast) -> None:
        self.opened.wait(5)
        self.threads.append(threading.current_thread().name)

    async def abroadcast(self, broadcast: Broadcast) -> None:
        raise NotImplementedError


class Keeping(BaseQueue):
    """A queue that keeps what it is given."""

    pushed: list[tuple[str, dict[str, Any], JobOptions]] = []  # noqa: RUF012

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.pushed.append((job, payload, options))

    async def apush(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.push(job, payload, options)


@pytest.fixture
def drivers(configure: Any, outbox: Outbox) -> Iterator[Outbox]:
    configure(
        BROADCASTERS={
            "down": {"BACKEND": f"{__name__}.Failing"},
            "worse": {"BACKEND": f"{__name__}.Failing"},
            "gated": {"BACKEND": f"{__name__}.Gated"},
            "locmem": {"BACKEND": "locmem"},
            "default": {"BACKEND": "channels"},
        },
        DEFAULT_BROADCASTER="locmem",
    )
    Gated.opened.clear()
    Gated.threads.clear()
    failures.failed.clear()
    yield outbox
    Gated.opened.set()


@pytest.fixture
def pushed(configure: Any) -> Iterator[list[tuple[str, dict[str, Any], JobOptions]]]:
    configure(QUEUE={"BACKEND": f"{__name__}.Keeping"})
    yield Keeping.pushed
    Keeping.pushed.clear()


class Everywhere(Ticked):
    class Meta:
        broadcasters = ("down", "locmem", "worse")


class Rescued(Everywhere):
    class Meta:
        rescue = True


class TestFailures:
    def test_every_broadcaster_is_tried_then_the_first_error_raised(self, drivers: Outbox) -> None:
        """App 7: a failure is raised, after the others had their turn."""
        with pytest.raises(BackplaneUnavailable, match="down is down") as raised:
            Everywhere(1).dispatch()
        assert len(drivers) == 1
        assert any("'worse' failed too" in note for note in raised.value.__notes__)

    async def test_so_it_is_in_async_code(self, drivers: Outbox) -> None:
        with pytest.raises(BackplaneUnavailable, match="down is down"):
            await Everywhere(1).adispatch()
        assert len(drivers) == 1

    @pytest.mark.parametrize("by_setting", [True, False])
    def test_rescue_logs_and_counts_without_the_payload(
        self,
        drivers: Outbox,
        configure: Any,
        caplog: pytest.LogCaptureFixture,
        by_setting: bool,
    ) -> None:
        """App 7: a rescued failure is not raised."""
        configure(RESCUE=by_setting)
        event = Everywhere(4711) if by_setting else Rescued(4711)
        event.dispatch()
        assert len(drivers) == 1
        (label,) = failures.failed
        assert failures.failed[label] == 2
        assert f"{label} was not broadcast on ticker: handing it on (down) failed" in caplog.text
        assert "4711" not in caplog.text

    def test_rescue_covers_the_hooks_and_names_the_step(
        self, drivers: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(ShouldBroadcast):
            class Meta:
                rescue = True

            def broadcast_on(self) -> str:
                return "orders"

            def broadcast_with(self) -> Any:
                return {"a": object()}

        Broken().dispatch()
        assert "on orders: broadcast_with failed: PayloadError: a: " in caplog.text

    def test_an_unknown_broadcaster_is_the_callers_error_and_the_others_send(
        self, drivers: Outbox
    ) -> None:
        with pytest.raises(Exception, match="No broadcaster is called 'typo'"):
            Ticked(1).via("typo", "locmem").dispatch()
        assert len(drivers) == 1

    def test_no_server_here_is_raised_with_the_cures(self, configure: Any) -> None:
        configure()  # a backplane of its own, which no client of another test has joined
        with pytest.raises(NoServerHere, match="channel_layer"):
            Ticked(1).via("default").dispatch()

    def test_a_rescued_no_server_here_is_said_once(
        self, configure: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        failures._said.clear()
        configure(RESCUE=True)
        for _ in range(3):
            Ticked(1).via("default").dispatch()
        assert [r.levelno for r in caplog.records if "NoServerHere" in r.message] == [logging.ERROR]


class TestQueue:
    def test_the_job_is_json_with_the_events_options(
        self, outbox: Outbox, pushed: list[Any]
    ) -> None:
        """App 7: queueing."""

        class Urgent(Ticked):
            class Meta:
                tries = 5
                backoff = (1, 2)
                expires = 10

        Urgent(1).on_queue("high").dispatch()
        ((job, payload, options),) = pushed
        assert job == "broadcast"
        assert (payload["v"], payload["name"], payload["data"]) == (1, "Urgent", '{"number":1}')
        assert options == JobOptions(
            queue="high",
            tries=5,
            backoff=(1, 2),
            expires=10,
            label=f"{__name__}.{Urgent.__qualname__}",
        )
        run(job, payload)
        assert outbox[0].to_payload() == payload

    async def test_now_passes_the_queue_by(self, outbox: Outbox, pushed: list[Any]) -> None:
        """App 7: what does not wait is not queued."""
        await Ticked(1).now().adispatch()
        await asyncio.to_thread(Ticked(2).now().dispatch)
        assert (len(outbox), pushed) == (2, [])

    def test_a_payload_above_the_limit_never_reaches_the_queue(self, pushed: list[Any]) -> None:
        with pytest.raises(PayloadError, match="max_event_payload_kb"):
            Ticked("x" * 11_000).via("default").dispatch()  # type: ignore[arg-type]
        assert pushed == []

    async def test_a_job_without_a_twin_runs_in_a_thread(self) -> None:
        ran: list[tuple[Any, bool]] = []
        here = threading.current_thread()
        register("test", lambda payload: ran.append((payload, threading.current_thread() is here)))
        await arun("test", {"a": 1})
        assert ran == [({"a": 1}, False)]
        with pytest.raises(LookupError, match="No job is called 'nothing'"):
            run("nothing", {})


class TestRunningLoop:
    async def test_a_slow_transport_never_holds_the_loop(self, drivers: Outbox) -> None:
        began = time.perf_counter()
        for number in range(20):
            Ticked(number).via("gated").dispatch()
        assert time.perf_counter() - began < 1
        assert not flush(0.01)
        Gated.opened.set()
        assert flush(5)
        assert Gated.threads == ["broadcasting-publisher"] * 20

    async def test_events_leave_in_their_order(self, drivers: Outbox) -> None:
        for number in range(50):
            Ticked(number).dispatch()
        assert flush(5)
        assert [sent.data for sent in drivers] == [f'{{"number":{n}}}' for n in range(50)]

    async def test_failures_are_logged_never_raised(
        self, drivers: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        Everywhere(1).dispatch()
        assert flush(5)
        assert "down is down" in caplog.text
        assert len(drivers) == 1

    async def test_a_mistake_in_the_event_is_still_raised(self, drivers: Outbox) -> None:
        with pytest.raises(PayloadError):
            Ticked(object()).dispatch()  # type: ignore[arg-type]
        with pytest.raises(PayloadError, match="max_event_payload_kb"):
            Ticked("x" * 11_000).via("default").dispatch()  # type: ignore[arg-type]


class TestFork:
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    async def test_a_forked_child_has_its_own(self, outbox: Outbox) -> None:
        Ticked(1).dispatch()
        assert flush(5)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - the child ends without telling
            try:
                outbox.clear()
                Ticked(2).dispatch()
                assert flush(5)
                os.write(writer, outbox[0].data.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            assert answer.read() == '{"number":2}'
        os.waitpid(child, 0)
