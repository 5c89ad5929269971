"""From a server process to the workers, when database or broker are not as they should be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from broadcasting.backplanes.background import BackgroundLoop
from broadcasting.exceptions import QueueUnavailable
from broadcasting.models import WebhookDelivery
from broadcasting.queues import JobOptions
from broadcasting.webhooks import jobs, log
from broadcasting.webhooks.bodies import Delivery
from broadcasting.webhooks.office import Office
from tests.live import PATIENCE
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_log import Recorded
from tests.webhooks.test_office import application, channels, tell

QUICK = {"BATCH_SECONDS": 0, "FIRST_RETRY": 0.01, "TIMEOUT": 0.2}


class Moody(Recorded):
    """A queue that is away at first."""

    took = threading.Event()

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.pushed.append((job, payload, options))
        if len(self.pushed) == 1:
            raise QueueUnavailable("the broker is away")
        self.took.set()


class Broken(Recorded):
    """A queue that raises what no queue should, and for the database looks like its own."""

    pushed_again = threading.Event()

    def push(self, job: str, payload: dict[str, Any], options: JobOptions) -> None:
        self.pushed.append((job, payload, options))
        if len(self.pushed) > NUMBER + 1:  # the second round of whoever looks after
            self.pushed_again.set()
        raise (RuntimeError if len(self.pushed) % 2 else LookupError)("no such transport")


NUMBER = 4


@pytest.fixture
def office(configure: Any) -> Iterator[Office]:
    configure(WEBHOOKS=QUICK, QUEUE={"BACKEND": f"{__name__}.Moody"})
    Moody.pushed, Moody.took = [], threading.Event()
    log.withdraw()
    office = Office(BackgroundLoop("tests-webhooks"))
    yield office
    office.stop(2)
    log.withdraw()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_was_away_is_told_later(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    tell(office, application(receiver.url), 1)
    assert Moody.took.wait(PATIENCE)
    office.stop(2)
    (row,) = WebhookDelivery.objects.all()
    assert {payload["lane"] for _, payload, _ in Moody.pushed} == {row.lane}
    assert row.status == "pending"
    assert office.carrier.queued == 1
    assert "was not told of webhook" in caplog.text
    assert not receiver.requests


@pytest.mark.django_db(transaction=True)
def test_a_broken_queue_costs_nothing(
    office: Office, receiver: Receiver, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configure(WEBHOOKS=QUICK, QUEUE={"BACKEND": f"{__name__}.Broken"})
    Broken.pushed, Broken.pushed_again = [], threading.Event()
    for number in range(NUMBER):
        tell(office, application(receiver.url), number)
    assert Broken.pushed_again.wait(PATIENCE)
    office.stop(2)
    assert WebhookDelivery.objects.count() == NUMBER
    assert (office.carrier.queued, office.carrier.failed, office.waiting) == (NUMBER, 0, 0)
    assert not receiver.requests
    assert "was not told of webhook" in caplog.text


class FirstFails:
    """In the place of ``jobs.enqueue``: raises once, then takes everything."""

    def __init__(self, error: Exception) -> None:
        self.calls: list[Delivery] = []
        self.took = threading.Event()
        self._error = error

    def __call__(self, delivery: Delivery) -> None:
        self.calls.append(delivery)
        if len(self.calls) == 1:
            raise self._error
        self.took.set()


def test_a_mistake_costs_one_body(
    office: Office,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    enqueue = FirstFails(ValueError("ours"))
    monkeypatch.setattr(jobs, "enqueue", enqueue)
    for number in range(2):
        tell(office, application(receiver.url), number)
    assert enqueue.took.wait(PATIENCE)
    office.stop(2)
    assert (office.carrier.queued, office.carrier.failed, office.waiting) == (1, 1, 0)
    assert "broke off" in caplog.text


def test_a_lock_is_waited_for(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent from here would overtake what waits in the database."""
    enqueue = FirstFails(OperationalError("database is locked"))
    monkeypatch.setattr(jobs, "enqueue", enqueue)
    tell(office, application(receiver.url), 1)
    assert enqueue.took.wait(PATIENCE)
    office.stop(2)
    assert enqueue.calls == [enqueue.calls[0]] * 2
    assert office.carrier.queued == 1
    assert not receiver.requests


def test_without_a_database_the_process_sends_itself_and_says_so_once(
    office: Office,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """244."""

    def away(*args: object, **options: object) -> None:
        raise OperationalError("no such table")

    for name in ("record", "note", "stuck"):
        monkeypatch.setattr(log, name, away)
    for number in range(3):
        tell(office, application(receiver.url), number)
    receiver.wait_for(3)
    assert channels(receiver) == ["c-0", "c-1", "c-2"]
    office.stop(2)
    assert caplog.text.count("cannot be kept in the database") == 1
    assert (office.carrier.delivered, office.carrier.queued) == (3, 0)
