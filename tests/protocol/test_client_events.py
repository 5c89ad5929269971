from __future__ import annotations

from typing import Any

import pytest

from broadcasting.protocol.errors import ClientEventRefused
from broadcasting.protocol.messages import ClientEvent
from broadcasting.protocol.protocol import Member, Protocol
from tests.protocol.conftest import MakeProtocol


def whisper(channel: str = "private-c", event: str = "client-x", data: Any = None) -> ClientEvent:
    return ClientEvent(event=event, channel=channel, data=data)


def refusal(protocol: Protocol, message: ClientEvent, now: float = 0) -> ClientEventRefused:
    with pytest.raises(ClientEventRefused) as problem:
        protocol.check_client_event(message, now)
    assert problem.value.code == 4301
    assert problem.value.close_code is None
    return problem.value


@pytest.mark.parametrize("switch", [True, "members"])
def test_a_subscriber_may_whisper(connect: MakeProtocol, switch: Any) -> None:
    """122."""
    protocol = connect("private-c", enable_client_events=switch)
    assert protocol.check_client_event(whisper(), now=0) is None


def test_who_whispers_in_a_presence_channel_is_ours_to_say(connect: MakeProtocol) -> None:
    """101, 133."""
    protocol = connect(members={"presence-c": Member(user_id="1")})
    assert protocol.check_client_event(whisper("presence-c"), now=0) == "1"


def test_nobody_whispers_where_it_is_switched_off(connect: MakeProtocol) -> None:
    """124."""
    problem = refusal(connect("private-c", enable_client_events=False), whisper())
    assert "not enabled" in problem.message
    assert problem.channel == "private-c"


@pytest.mark.parametrize("channel", ["private-d", "presence-c", "private-", "private-C"])
def test_only_subscribers_whisper(connect: MakeProtocol, channel: str) -> None:
    """67, 125, 136."""
    problem = refusal(connect("private-c"), whisper(channel))
    assert "not subscribed" in problem.message


def test_who_has_left_does_not_whisper(connect: MakeProtocol) -> None:
    """136."""
    protocol = connect("private-c")
    del protocol.subscriptions["private-c"]
    refusal(protocol, whisper())


@pytest.mark.parametrize("channel", ["c", "privateer", "presence", "private-encrypted-c"])
def test_public_and_encrypted_channels_carry_no_whispers(
    connect: MakeProtocol, channel: str
) -> None:
    """66, 126."""
    problem = refusal(connect(channel), whisper(channel))
    assert "only private and presence" in problem.message


def test_a_name_ends_at_its_limit(connect: MakeProtocol) -> None:
    """129."""
    protocol = connect("private-c")
    protocol.check_client_event(whisper(event="client-" + "x" * 193), now=0)
    assert "longer than 200" in refusal(protocol, whisper(event="client-" + "x" * 194)).message


@pytest.mark.parametrize(
    ("fits", "does_not"),
    [
        ("x" * 10_240, "x" * 10_241),
        ("é" * 5_120, "é" * 5_120 + "x"),
        ({"a": "x" * 10_232}, {"a": "x" * 10_233}),
        ([0] * 5_118 + [10], [0] * 5_118 + [100]),
    ],
    ids=["text", "letters of two bytes", "object", "list"],
)
def test_data_ends_at_10_240_bytes(connect: MakeProtocol, fits: Any, does_not: Any) -> None:
    """128: text counts as it is, the rest as compact JSON."""
    protocol = connect("private-c")
    protocol.check_client_event(whisper(data=fits), now=0)
    assert "larger than 10 KB" in refusal(protocol, whisper(data=does_not)).message


def test_an_application_may_allow_more_or_less(connect: MakeProtocol) -> None:
    """220."""
    big = connect("private-c", max_event_payload_kb=20)
    assert big.check_client_event(whisper(data="x" * 20_480), now=0) is None
    assert "longer than 8" in refusal(
        connect("private-c", max_event_name_length=8), whisper(event="client-xy")
    ).message  # fmt: skip


def test_a_refusal_does_not_repeat_a_huge_channel_name(connect: MakeProtocol) -> None:
    problem = refusal(connect(), whisper("private-" + "c" * 60_000))
    assert problem.channel is not None
    assert len(problem.channel) == 200


def allowed(protocol: Protocol, attempts: int, now: float) -> int:
    """Return how many of so many whispers at once are let through."""
    passed = 0
    for _ in range(attempts):
        try:
            protocol.check_client_event(whisper(), now)
            passed += 1
        except ClientEventRefused:
            continue
    return passed


def test_ten_a_second_and_the_rest_is_refused(connect: MakeProtocol) -> None:
    """130."""
    protocol = connect("private-c")
    assert allowed(protocol, 15, now=0) == 10
    assert "more than 10 a second" in refusal(protocol, whisper()).message


def test_a_second_later_ten_more(connect: MakeProtocol) -> None:
    """131."""
    protocol = connect("private-c")
    assert allowed(protocol, 15, now=100) == 10
    assert allowed(protocol, 15, now=100.5) == 5
    assert allowed(protocol, 15, now=101.5) == 10
    assert allowed(protocol, 15, now=1_000_000) == 10


def test_each_socket_has_its_own_budget(connect: MakeProtocol) -> None:
    """132."""
    one, other = connect("private-c"), connect("private-c")
    assert allowed(one, 15, now=0) == 10
    assert allowed(other, 15, now=0) == 10


def test_what_is_refused_for_another_reason_costs_nothing(connect: MakeProtocol) -> None:
    protocol = connect("private-c")
    for _ in range(20):
        refusal(protocol, whisper("private-d"))
    assert allowed(protocol, 15, now=0) == 10


def test_a_limit_may_be_lifted(connect: MakeProtocol) -> None:
    protocol = connect("private-c", max_client_events_per_second=None)
    assert allowed(protocol, 1_000, now=0) == 1_000
