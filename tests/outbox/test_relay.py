"""What a relay does with what was committed: in order, again at need, once each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from broadcasting.models import OutboxEntry
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue, beside, rows
from broadcasting.queues.outbox.relay import Relay, counters
from broadcasting.signals import broadcast_failed
from tests.outbox.conftest import a_relay, all_due, relay, sent, waiting
from tests.outbox.site import FlakyBroadcaster, Said, SaidElsewhere, SaidToTwo
from tests.sending.kept import KeptQueue
from tests.sending.test_after_commit import close_connections

Use = Callable[..., None]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("outbox")]


def say(*numbers: int, on: tuple[str, ...] = ("news",)) -> None:
    for number in numbers:
        with transaction.atomic():
            Said(number, on).dispatch()


def claim(name: str, batch: int = 100) -> list[int]:
    claimed = rows.claim("default", name, 60, batch)
    assert claimed is not None
    return [entry.number for entry in claimed]


class TestOrder:
    def test_nothing_overtakes_in_its_channel(self, outbox: Use) -> None:
        outbox(backoff=[3600])
        FlakyBroadcaster.down = {"news"}
        say(1, 2)
        say(3, on=("sport",))
        relay()
        say(4)
        relay()
        assert sent() == [3]
        assert len(set(FlakyBroadcaster.seen)) == 2
        FlakyBroadcaster.down = set()
        all_due()
        relay()
        assert sent() == [3, 1, 2, 4]

    def test_what_waits_holds_up_all_its_channels(self, outbox: Use) -> None:
        outbox(backoff=[3600])
        FlakyBroadcaster.down = {"news"}
        say(1)
        say(2, on=("news", "sport"))
        say(3, on=("sport",))
        say(4, on=("weather",))
        relay()
        relay()
        assert sent() == [4]
        FlakyBroadcaster.down = set()
        all_due()
        relay()
        assert sent() == [4, 1, 2, 3]

    def test_an_attempt_keeps_the_id(self, outbox: Use) -> None:
        outbox(backoff=[3600])
        FlakyBroadcaster.down = {"news"}
        say(1)
        relay()
        FlakyBroadcaster.down = set()
        all_due()
        relay()
        assert sent() == [1]
        assert len(FlakyBroadcaster.seen) == 2
        assert len(set(FlakyBroadcaster.seen)) == 1

    def test_two_broadcasters_do_not_wait_for_each_other(self) -> None:
        with transaction.atomic():
            SaidToTwo(1).dispatch()
        lines = {entry.lines for entry in OutboxEntry.objects.all()}
        assert lines == {"default news", "flaky news"}


class TestSeveralRelays:
    def test_an_entry_is_one_relays_alone(self) -> None:
        say(1, 2)
        say(3, on=("sport",))
        first = claim("a", batch=1)
        # The second one of the same channel must not leave before the first has.
        second = claim("b")
        assert len(first) == 1
        assert [OutboxEntry.objects.get(pk=pk).lines for pk in second] == ["default sport"]
        rows.done("default", "a", first)
        assert len(claim("c")) == 1

    def test_one_that_died_leaves_its_entries_when_its_lease_ends(self) -> None:
        say(1)
        taken = claim("dead")
        relay()
        assert sent() == []
        OutboxEntry.objects.update(claimed_until=timezone.now())
        relay()
        assert sent() == [1]
        # What it says when it comes back after all changes nothing.
        rows.done("default", "dead", taken)
        rows.release("default", "dead", taken)

    def test_one_that_comes_back_too_late_removes_nothing(self) -> None:
        say(1)
        taken = claim("frozen")
        OutboxEntry.objects.update(claimed_until=timezone.now())
        assert claim("other") == taken
        rows.done("default", "frozen", taken)
        assert waiting() == 1

    def test_it_begins_nothing_that_its_lease_may_not_cover(self, outbox: Use) -> None:
        outbox(lease=1e-6)
        say(1, 2)
        a_relay()._relay_some("default")
        assert sent() == []
        assert not OutboxEntry.objects.exclude(claimed_by="").exists()


class TestFailures:
    def test_what_fails_too_often_is_parked_and_holds_nobody_up(self, outbox: Use) -> None:
        outbox(tries=3, backoff=[0.001])
        FlakyBroadcaster.down = {"news"}
        told: list[Any] = []

        def hear(sender: object, **kwargs: Any) -> None:
            told.append(kwargs["error"])

        broadcast_failed.connect(hear)
        try:
            say(1)
            for _ in range(5):
                relay()
                if waiting():
                    all_due()
        finally:
            broadcast_failed.disconnect(hear)
        entry = OutboxEntry.objects.get()
        assert (entry.attempts, entry.parked_at is None) == (3, False)
        assert "BroadcasterUnavailable: down" in entry.last_error
        assert len(told) == 1
        FlakyBroadcaster.down = set()
        say(2)
        relay()
        assert sent() == [2]

    def test_a_mistake_in_the_program_is_parked_at_once(self) -> None:
        FlakyBroadcaster.faulty = {"news"}
        say(1)
        say(2, on=("sport",))
        relay()
        assert sent() == [2]
        assert OutboxEntry.objects.get().attempts == 1

    @pytest.mark.parametrize("said", ["half a character: \ud83d", "nothing: \0"])
    def test_a_mistake_that_no_database_can_spell_is_parked(self, said: str) -> None:
        say(1)
        claimed = rows.claim("default", "mine", 60, 1)
        assert claimed
        rows.park("default", "mine", claimed[0], said)
        kept = OutboxEntry.objects.get(parked_at__isnull=False).last_error
        assert kept.isascii()
        assert "\0" not in kept

    def test_a_parked_one_can_be_relayed_again(self) -> None:
        FlakyBroadcaster.faulty = {"news"}
        say(1)
        relay()
        FlakyBroadcaster.faulty = set()
        relay()
        assert sent() == []
        assert rows.again(OutboxEntry.objects.all()) == 1
        assert rows.again(OutboxEntry.objects.all()) == 0
        relay()
        assert sent() == [1]
        assert len(set(FlakyBroadcaster.seen)) == 1

    def test_a_version_of_later_is_parked_and_counted(self) -> None:
        say(1)
        OutboxEntry.objects.update(body='{"v":99}')
        before = counters.unreadable
        relay()
        assert counters.unreadable == before + 1
        assert "version 99" in OutboxEntry.objects.get(parked_at__isnull=False).last_error

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"v":1}', '{"v":1,"backoff":3}'])
    def test_nonsense_is_parked(self, text: str) -> None:
        say(1)
        OutboxEntry.objects.update(body=text)
        relay()
        assert OutboxEntry.objects.get().parked_at is not None


class TestThen:
    def test_jobs_go_on_to_another_queue(self, outbox: Use) -> None:
        outbox(then="tests.sending.kept.KeptQueue")
        KeptQueue.jobs.clear()
        with transaction.atomic():
            Said(1).on_queue("fast").delay(0).dispatch()
            assert not KeptQueue.jobs
        relay()
        (job, payload, options), *others = KeptQueue.jobs
        KeptQueue.jobs.clear()
        assert (job, payload["channels"], options.queue, others) == (
            "broadcast",
            ["news"],
            "fast",
            [],
        )
        assert options.expires is not None
        assert 0 < options.expires <= 86_400
        assert waiting() == 0


class TestLoop:
    @pytest.fixture(autouse=True)
    def closing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those to a database in memory as well, which Django leaves open."""
        monkeypatch.setattr(connections, "close_all", close_connections)

    def start(self) -> tuple[Relay, threading.Thread]:
        one = a_relay()
        thread = threading.Thread(target=beside._run_and_close, args=(one,))
        thread.start()
        return one, thread

    def test_a_commit_wakes_the_relay_of_its_process(
        self, outbox: Use, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Longer than this test may take.
        outbox(poll=3600)
        arrived, looked = threading.Event(), threading.Event()
        real, look = FlakyBroadcaster.broadcast, Relay._look

        def broadcast(self: FlakyBroadcaster, each: Any) -> None:
            real(self, each)
            arrived.set()

        def first_look(self: Relay) -> float:
            wait = look(self)
            looked.set()
            return wait

        monkeypatch.setattr(FlakyBroadcaster, "broadcast", broadcast)
        monkeypatch.setattr(Relay, "_look", first_look)
        one, thread = self.start()
        try:
            assert looked.wait(10)
            with transaction.atomic():
                Said(1).dispatch()
            assert arrived.wait(10)
        finally:
            one.stop()
            thread.join(10)
        assert sent() == [1]
        assert not beside.is_running()

    def test_a_database_that_is_away_is_told_once_and_asked_again(
        self, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        real = rows.claim

        def fail(*args: Any) -> None:
            raise OperationalError("gone")

        one = a_relay()
        monkeypatch.setattr(rows, "claim", fail)
        assert one._look() >= 1
        one._look()
        monkeypatch.setattr(rows, "claim", real)
        say(1)
        assert one._look() == 0
        assert sent() == [1]
        assert caplog.text.count("cannot be read") == 1
        assert "can be read again" in caplog.text

    @pytest.mark.django_db(transaction=True, databases=["default", "other"])
    @pytest.mark.parametrize("error", [OperationalError("gone"), OverflowError("a bug")])
    def test_a_database_in_trouble_holds_up_no_other(
        self, error: Exception, outbox: Use, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        outbox(databases=["default", "other"])
        real = rows.claim

        def fail(database: str, *args: Any) -> Any:
            if database == "default":
                raise error
            return real(database, *args)

        monkeypatch.setattr(rows, "claim", fail)
        with transaction.atomic("other"):
            SaidElsewhere(1).dispatch()
        one = a_relay()
        assert one._look() == 0
        assert sent() == [1]
        assert one._look() >= 1
        assert str(error) in caplog.text

    def test_beside_sockets(self, outbox: Use) -> None:
        outbox(relay=True)
        queue = get_queue()
        assert isinstance(queue, OutboxQueue)
        beside.start(queue)
        beside.start(queue)
        started = [one for one in threading.enumerate() if one.name == "broadcasting-relay"]
        assert len(started) == 1
        beside.stop(10)
        beside.stop(10)
        assert not beside.is_running()


def test_a_signal_at_any_moment_is_taken() -> None:
    program = [sys.executable, "-m", "tests.outbox.signalled"]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run(program, env=environment, check=True, timeout=60)
