from __future__ import annotations

from collections.abc import Iterator

import pytest

from broadcasting.protocol import errors
from broadcasting.protocol.errors import HandshakeRefused, ProtocolError


def every(cls: type[ProtocolError]) -> Iterator[type[ProtocolError]]:
    for child in cls.__subclasses__():
        yield child
        yield from every(child)


REFUSALS = {
    errors.TlsOnly: 4000,
    errors.UnknownApplication: 4001,
    errors.ApplicationDisabled: 4003,
    errors.OverCapacity: 4004,
    errors.InvalidVersion: 4006,
    errors.UnsupportedVersion: 4007,
    errors.OriginRefused: 4009,
    errors.NotAuthorizedInTime: 4009,
    errors.Terminated: 4009,
    errors.TryAgain: 4100,
    errors.Reconnect: 4200,
    errors.TerminatedForNow: 4200,
    errors.AuthorizeAnew: 4200,
    errors.TooManyUsers: 4200,
    errors.LoggedOut: 4100,
    errors.SendsTooMuch: 4100,
    errors.TooManyFromAddress: 4100,
    errors.PongTimeout: 4201,
}


@pytest.mark.parametrize(("refusal", "code"), REFUSALS.items())
def test_a_refused_socket_is_closed_with_the_code_it_was_told(
    refusal: type[HandshakeRefused], code: int
) -> None:
    """Each has the number that Pusher gives it."""
    problem = refusal()
    assert (problem.code, problem.close_code) == (code, code)


def test_no_refusal_was_forgotten_here() -> None:
    assert set(every(HandshakeRefused)) == set(REFUSALS)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_says_why_in_what_a_close_frame_can_carry(
    refusal: type[HandshakeRefused],
) -> None:
    """25. A reason may take 123 bytes."""
    assert 0 < len(refusal().message.encode()) <= 123


def test_a_frame_that_is_too_large_ends_the_socket() -> None:
    """43."""
    assert errors.MessageTooLarge().close_code == 1009


def test_a_binary_frame_ends_the_socket() -> None:
    """42."""
    assert errors.BinaryFrame().close_code == 1003


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.InvalidMessage, None),
        (errors.SubscriptionRefused, 4009),
        (errors.InvalidChannel, None),
        (errors.InvalidMember, None),
        (errors.PresenceFull, 4100),
        (errors.ClientEventRefused, 4301),
    ],
)
def test_what_is_wrong_with_one_message_leaves_the_socket_open(
    problem: type[ProtocolError], code: int | None
) -> None:
    """37-40, 71, 130."""
    assert problem().code == code
    assert problem().close_code is None


def test_no_socket_is_ever_closed_with_a_code_that_stops_clients_for_good_by_surprise() -> None:
    """pusher-js gives up on everything from 4300 up."""
    for problem in every(ProtocolError):
        close_code = problem().close_code
        assert close_code is None or close_code < 4300


def test_an_error_can_say_more_than_its_class() -> None:
    problem = errors.SubscriptionRefused("Not you", channel="private-c")
    assert (str(problem), problem.message, problem.channel) == ("Not you", "Not you", "private-c")
    assert str(errors.SubscriptionRefused()) == "Subscription refused"
    assert errors.SubscriptionRefused().channel is None
