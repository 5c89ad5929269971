"""How fast one connection may send, under a clock of the test's own."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.protocol import errors
from broadcasting.protocol.application import Application
from broadcasting.protocol.pacing import BREAK, BURST_SECONDS, PATIENCE, Pace


def application(**limits: Any) -> Application:
    return Application(id="app", key="app-key", secret="app-secret", **limits)


def test_a_burst_passes_and_what_follows_waits_for_its_turn() -> None:
    pace, limited = Pace(), application(max_messages_per_second=4)
    waits = [pace.wait(limited, subscribes=False, now=5.0) for _ in range(4 * BURST_SECONDS + 2)]
    assert waits[: 4 * BURST_SECONDS - 1] == [0.0] * (4 * BURST_SECONDS - 1)
    assert [round(wait, 6) for wait in waits[-3:]] == [0.25, 0.5, 0.75]


def test_a_client_that_returns_may_join_everything_that_it_may_be_in_at_once() -> None:
    pace, limited = Pace(), application(max_channels_per_connection=2_000)
    waits = [pace.wait(limited, subscribes=True, now=0.0) for _ in range(2_000)]
    assert not any(waits[:-1])
    assert waits[-1] > 0


def test_subscriptions_and_the_rest_do_not_use_up_one_another() -> None:
    pace, limited = Pace(), application(max_messages_per_second=1, max_channels_per_connection=1)
    assert pace.wait(limited, subscribes=True, now=0.0) > 0
    assert pace.wait(limited, subscribes=False, now=0.0) == 0


def test_without_a_limit_nothing_waits() -> None:
    free = application(max_messages_per_second=None, max_subscriptions_per_second=None)
    pace = Pace()
    assert not any(pace.wait(free, subscribes=n % 2 == 0, now=0.0) for n in range(50_000))
    assert not pace.is_flood(1e9)


def test_who_goes_on_is_a_flood_and_who_stops_for_a_moment_is_none() -> None:
    pace, limited = Pace(), application(max_messages_per_second=1)
    now = 0.0
    for _ in range(BURST_SECONDS):
        pace.wait(limited, subscribes=False, now=now)
    assert not pace.is_flood(now + PATIENCE - 0.1)
    assert pace.is_flood(now + PATIENCE)
    now += PATIENCE
    assert pace.wait(limited, subscribes=False, now=now) == 0
    assert not pace.is_flood(now)


def test_messages_between_subscriptions_do_not_hide_a_flood_of_these() -> None:
    limited = application(max_messages_per_second=50, max_subscriptions_per_second=10)
    pace, now = Pace(), 0.0
    for number in range(400):
        now += pace.wait(limited, subscribes=number % 10 != 0, now=now)
    assert pace.is_flood(now)


def test_a_wait_of_long_ago_is_none_of_now() -> None:
    limited = application(max_messages_per_second=10)
    pace = Pace()
    for _ in range(200):
        pace.wait(limited, subscribes=True, now=0.0)
    assert [pace.wait(limited, subscribes=False, now=3600.0) for _ in range(100)][-1]
    assert not pace.is_flood(3600.0)
    for number in range(140):  # below the limit, and nothing waits
        assert not pace.wait(limited, subscribes=False, now=3602.0 + number / 9)
    now = 3602.0 + 140 / 9
    while not pace.wait(limited, subscribes=False, now=now):
        pass
    assert not pace.is_flood(now)


@pytest.mark.parametrize(("pause", "floods"), [(BREAK - 0.01, True), (BREAK, False)])
def test_a_second_without_a_wait_is_a_break(pause: float, floods: bool) -> None:
    pace, limited = Pace(), application(max_messages_per_second=10)
    now = 0.0
    while now < PATIENCE + 1:
        now += (wait := pace.wait(limited, subscribes=False, now=now))
        now += pause if wait else 0
    while not pace.wait(limited, subscribes=False, now=now):
        pass
    assert pace.is_flood(now) is floods


def test_who_may_be_in_one_channel_changes_it_as_often_as_anybody() -> None:
    pace, limited = Pace(), application(max_channels_per_connection=1)
    now = 0.0
    for _ in range(100):
        now += pace.wait(limited, subscribes=True, now=now)
        assert not pace.is_flood(now)
        now += 0.3


@given(late=st.lists(st.floats(0, 0.9), min_size=1))
def test_a_server_that_is_late_does_not_take_a_flood_for_none(late: list[float]) -> None:
    pace, limited = Pace(), application(max_messages_per_second=50)
    now = 0.0
    for pause in cycle(late):
        # Whatever came meanwhile is there when the server is back.
        while not (wait := pace.wait(limited, subscribes=False, now=now)):
            pass
        if now > PATIENCE + 1:
            break
        now += wait + pause
    assert pace.is_flood(now)


@given(
    limit=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200),
)
def test_who_waits_as_told_never_gets_more_than_the_burst_and_the_rate(
    limit: int, pauses: list[float]
) -> None:
    pace, limited = Pace(), application(max_messages_per_second=limit)
    now = 0.0
    for number, pause in enumerate(pauses, 1):
        now += pause
        wait = pace.wait(limited, subscribes=False, now=now)
        assert wait <= 1 / limit + 1e-6  # never longer than one turn
        assert number <= limit * BURST_SECONDS + (now + 0.001) * limit + 1e-6
        now += wait


def test_a_rate_is_told_inside_an_event_and_never_by_a_close() -> None:
    """pusher-js gives up for good on a close with 43xx."""

    def every(cls: type[errors.ProtocolError]) -> list[type[errors.ProtocolError]]:
        return [cls, *(one for child in cls.__subclasses__() for one in every(child))]

    found = every(errors.ProtocolError)
    assert 4301 in {problem.code for problem in found}
    for problem in found:
        made = problem()
        assert made.close_code is None or not 4300 <= made.close_code < 4400
