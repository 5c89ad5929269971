"""The server's own sender: bounded, in order, and not held up by anybody."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broadcasting.backplanes.background import BackgroundLoop
from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.attempts import attempt_and_wait
from broadcasting.webhooks.office import Office
from tests.live import PATIENCE
from tests.webhooks.receiver import HANG, Receiver, receiving

QUICK = {"LOG": False, "BATCH_SECONDS": 0, "FIRST_RETRY": 0.02, "TIMEOUT": 1}


@pytest.fixture
def office(configure: Any) -> Iterator[Office]:
    configure(WEBHOOKS=QUICK)
    office = Office(BackgroundLoop("tests-webhooks"))
    yield office
    office.stop(2)


def application(*urls: str, **options: Any) -> Application:
    webhooks = tuple(Webhook(url=url) for url in urls)
    return Application(id="app", key="app-key", secret="app-secret", webhooks=webhooks, **options)


def tell(office: Office, application: Application, number: int) -> None:
    assert office.wants(application, "channel_occupied")
    office.tell(
        Occurrence(
            name="channel_occupied",
            application=application,
            time_ms=round(time.time() * 1000),
            channel=f"c-{number}",
        )
    )


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # nothing announces what a counter says


def until_failed(office: Office, number: int) -> None:
    until(lambda: office.carrier.failed >= number)


def channels(receiver: Receiver, path: str = "/") -> list[str]:
    return [event["channel"] for event in receiver.events(path)]


def test_only_what_an_endpoint_wants_is_wanted(office: Office) -> None:
    types = frozenset({"cache_miss"})
    picky = Application(
        id="a", key="k", secret="s", webhooks=(Webhook(url="http://x", event_types=types),)
    )
    assert office.wants(picky, "cache_miss")
    assert not office.wants(picky, "channel_occupied")
    assert not office.wants(application("http://x"), "connected")
    assert not office.wants(application(), "cache_miss")


def test_events_arrive_in_order(office: Office, receiver: Receiver) -> None:
    """208."""
    told = application(receiver.url)
    for number in range(50):
        tell(office, told, number)
    receiver.wait_for(50)
    assert channels(receiver) == [f"c-{n}" for n in range(50)]
    assert [len(r.events) for r in receiver.requests] == [1] * 50
    office.stop(2)
    assert (office.carrier.delivered, office.carrier.failed, office.waiting) == (50, 0, 0)


def test_two_endpoints_at_one_address_are_told_once_each(
    office: Office, receiver: Receiver, configure: Any
) -> None:
    configure(WEBHOOKS=QUICK | {"BATCH_SECONDS": 0.05})
    webhooks = tuple(Webhook(url=receiver.url, headers={"X-Tenant": name}) for name in "ab")
    told = Application(id="app", key="app-key", secret="app-secret", webhooks=webhooks)
    tell(office, told, 1)
    receiver.wait(lambda r: len(r.requests) == 2)
    office.stop(2)
    assert sorted(r.headers["x-tenant"] for r in receiver.requests) == ["a", "b"]
    assert [len(r.events) for r in receiver.requests] == [1, 1]


def test_what_waits_is_bounded_and_the_newest_are_dropped(
    office: Office, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configure(WEBHOOKS=QUICK | {"MAX_WAITING": 3})
    slow = {"now": True}
    with receiving(lambda number, path, _: HANG if slow["now"] else 200) as receiver:
        told = application(receiver.url)
        tell(office, told, 0)
        receiver.wait(lambda r: bool(r.requests))
        slow["now"] = False
        for number in range(1, 8):
            tell(office, told, number)
        until(lambda: office.dropped == 5)
        assert caplog.text.count("webhook events are dropped: 3 others wait") == 1
        receiver.wait_for(3)
        assert channels(receiver) == ["c-0", "c-1", "c-2"]


def test_a_dead_endpoint_takes_no_room_from_the_others(office: Office, configure: Any) -> None:
    configure(WEBHOOKS=QUICK | {"MAX_WAITING": 10, "TIMEOUT": 60})
    with receiving(lambda number, path, _: HANG if path == "/dead" else 200) as receiver:
        for number in range(30):
            tell(office, application(receiver.url + "dead"), number)
        for number in range(3):
            tell(office, application(receiver.url + "good"), number)
        receiver.wait_for(3, "/good")
        assert office.waiting <= 10
        assert 20 <= office.dropped <= 23
        office.stop(0)


def test_what_grew_too_old_behind_a_dead_endpoint_is_given_up_with_it(
    office: Office, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """207."""
    configure(WEBHOOKS=QUICK | {"RETRY_SECONDS": 0.2, "TIMEOUT": 0.5})
    bad = {"now": True}
    with receiving(lambda number, path, _: HANG if bad["now"] else 200) as receiver:
        told = application(receiver.url)
        for number in range(5):
            tell(office, told, number)
        until_failed(office, 5)
        assert len(receiver.requests) == 1
        assert "Gave up webhook" in caplog.text
        assert caplog.text.count("Gave up 4 more webhooks of app") == 1
        bad["now"] = False
        tell(office, told, 5)
        receiver.wait_for(1)
        assert channels(receiver) == ["c-5"]


def test_a_process_that_ends_tries_once_more_and_says_what_it_loses(
    office: Office, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configure(WEBHOOKS=QUICK | {"FIRST_RETRY": 60, "TIMEOUT": 60})
    with receiving(lambda number, path, _: HANG if path == "/hang" else 500) as receiver:
        tell(office, application(receiver.url, receiver.url + "hang"), 0)
        receiver.wait(lambda r: len(r.requests) == 2)
        office.stop(0.5)
        assert [r.path for r in receiver.requests].count("/") == 2
    assert "1 webhook events were not delivered" in caplog.text
    office.stop(0.5)


def test_an_endpoint_that_is_not_there_is_one_that_fails(
    office: Office, configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """244."""
    configure(WEBHOOKS=QUICK | {"RETRY_SECONDS": 0})
    tell(office, application("http://127.0.0.1:9/secret-path", "http://[::1"), 0)
    until_failed(office, 2)
    assert "to 127.0.0.1: ConnectError" in caplog.text
    assert "secret-path" not in caplog.text


def test_a_clock_that_is_set_back_stops_nothing(
    office: Office, receiver: Receiver, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(WEBHOOKS=QUICK | {"BATCH_SECONDS": 0.05})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    tell(office, application(receiver.url), 1)
    monkeypatch.setattr(time, "time", real)
    receiver.wait_for(1)


def test_a_mistake_of_ours_costs_one_event(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Occurrence(
        name="client_event",
        application=application(receiver.url),
        time_ms=1,
        channel="private-a",
        data=object(),  # type: ignore[arg-type]
    )
    office.tell(broken)
    tell(office, application(receiver.url), 1)
    receiver.wait_for(1)
    assert channels(receiver) == ["c-1"]
    assert "could not be made of client_event" in caplog.text


def test_user_and_password_of_a_url_are_sent_as_such(office: Office, receiver: Receiver) -> None:
    url = receiver.url.replace("//", "//user:pass@")
    tell(office, application(url), 1)
    receiver.wait_for(1)
    assert receiver.requests[0].headers["authorization"] == "Basic dXNlcjpwYXNz"


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "broadcasting.webhooks.sending", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    told = application("http://127.0.0.1:9/")
    outcome = attempt_and_wait(told, told.webhooks[0], "id", "{}")
    assert "django-broadcasting[http]" in outcome.error
    assert not outcome.delivered
