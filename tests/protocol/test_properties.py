"""What holds for any input at all, as far as hypothesis can think of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcasting.protocol import messages, signing
from broadcasting.protocol.application import Application
from broadcasting.protocol.errors import InvalidVersion, ProtocolError, UnsupportedVersion
from broadcasting.protocol.messages import ClientEvent, Subscribe
from broadcasting.protocol.names import (
    ChannelKind,
    base_name,
    is_channel_name,
    is_event_name,
    is_socket_id,
    kind_of,
)
from broadcasting.protocol.protocol import Member, Protocol, check_version
from broadcasting.protocol.ratelimit import TokenBucket
from broadcasting.protocol.roster import Roster

APPLICATION = Application(id="app", key="app-key", secret="app-secret", enable_client_events=True)

# Half surrogate pairs too: JSON can write them, UTF-8 cannot.
any_text = st.text(st.characters(exclude_categories=()))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text
)
any_json = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner), max_leaves=20
)
channels = st.sampled_from(
    ["c", "private-c", "presence-c", "private-encrypted-c", "#c", "", "a b"]
) | any_text  # fmt: skip
event_names = (
    st.sampled_from(
        ["pusher:subscribe", "pusher:unsubscribe", "pusher:ping", "pusher:pong", "client-x"]
    )
    | any_text
    | any_text.map(lambda rest: f"client-{rest}")
)
subscriptions = st.fixed_dictionaries(
    {}, optional={"channel": channels | any_json, "auth": any_json, "channel_data": any_json}
)
frames = st.fixed_dictionaries(
    {},
    optional={
        "event": event_names | any_json,
        "channel": channels | any_json,
        "data": subscriptions | subscriptions.map(json.dumps) | any_json,
        "user_id": any_json,
    },
)


def connection() -> Protocol:
    protocol = Protocol(APPLICATION, "123.456", now=0)
    member = Member(user_id="1")
    protocol.subscriptions.update({"c": None, "private-c": None, "presence-c": member})
    return protocol


def answer(text: str) -> None:
    """Do what a server does with a text frame; every problem must have its frame."""
    protocol = connection()
    try:
        message = protocol.receive(text, now=1)
        if isinstance(message, Subscribe):
            protocol.authorize(message)
        elif isinstance(message, ClientEvent):
            user_id = protocol.check_client_event(message, now=1)
            messages.event(message.event, message.channel, message.data, user_id).encode()
    except ProtocolError as problem:
        told = json.loads(messages.error(problem).encode())
        assert told["event"] == "pusher:error"
        assert isinstance(told["data"]["message"], str)


@given(any_text)
def test_any_text_is_a_message_or_a_protocol_error(text: str) -> None:
    """37."""
    answer(text)


@given(any_json.map(json.dumps))
def test_any_json_is_a_message_or_a_protocol_error(text: str) -> None:
    """38."""
    answer(text)


@given(frames, st.booleans())
def test_anything_like_a_message_is_one_or_a_protocol_error(
    frame: dict[str, Any], ascii_only: bool
) -> None:
    """39, 40, 47, 48."""
    answer(json.dumps(frame, ensure_ascii=ascii_only))


@given(st.text(st.sampled_from('{}[]":,\\ue1- .0Ntfn')))
def test_anything_like_json_is_a_message_or_a_protocol_error(text: str) -> None:
    answer(text)


@given(any_json, st.sampled_from(["private-c", "presence-c"]))
def test_a_whisper_arrives_as_it_was_sent(data: Any, channel: str) -> None:
    """122, 123: as UTF-8, and JSON that browsers read."""
    sent = json.dumps({"event": "client-x", "channel": channel, "data": data})
    protocol = connection()
    message = protocol.receive(sent, now=1)
    assert isinstance(message, ClientEvent)
    user_id = protocol.check_client_event(message, now=1)
    relayed = messages.event(message.event, message.channel, message.data, user_id)
    received = messages.decode_json(relayed.encode().decode())
    # The text on the sender's side says which characters it is; pairs of surrogates are one.
    assert received["data"] == json.loads(sent)["data"]
    assert list(received)[:3] == ["event", "data", "channel"]


@given(any_json)
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    text = messages.encode(value)
    assert messages.decode_json(text.encode().decode()) == json.loads(json.dumps(value))


@given(st.text())
def test_a_programs_data_arrives_byte_for_byte(data: str) -> None:
    """52-54."""
    received = json.loads(messages.event("e", "c", data).encode())
    assert received == {"event": "e", "data": data, "channel": "c"}


@given(st.integers(0, messages.MAX_NESTING - 2), st.sampled_from([("[", "]"), ('{"":', "}")]))
def test_what_may_come_in_may_go_out(depth: int, brackets: tuple[str, str]) -> None:
    """No stack may end between the two, however deep the caller's is."""
    opening, closing = brackets
    value = messages.decode_json(opening * depth + "0" + closing * depth)
    assert Roster("presence-c", {"1": value}).answer


@given(any_text)
def test_a_channel_name_has_one_kind_and_one_base(name: str) -> None:
    """66."""
    kind = kind_of(name)
    assert kind.value + base_name(name) == name
    assert kind.guarded == name.startswith(("private-", "presence-"))


@given(any_text | st.from_regex(r"[A-Za-z0-9_\-=@,.;]{1,210}", fullmatch=True))
def test_a_channel_name_is_what_pushers_grammar_says(name: str) -> None:
    """62-64."""
    alphabet = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;")
    assert is_channel_name(name) == (1 <= len(name) <= 200 and set(name) <= alphabet)


@given(any_text | any_text.map(lambda rest: f"pusher:{rest}"))
def test_an_event_name_is_any_but_an_empty_long_or_reserved_one(name: str) -> None:
    reserved = name.startswith(("pusher:", "pusher_internal:"))
    assert is_event_name(name) == (1 <= len(name) <= 200 and not reserved)


@given(st.text(st.sampled_from("0123456789.:\n x\u0661")))
def test_a_socket_id_holds_nothing_that_could_end_it(text: str) -> None:
    if is_socket_id(text):
        first, second = text.split(".")
        assert set(first + second) <= set("0123456789")
        assert first
        assert second


@given(any_text)
def test_any_protocol_version_is_taken_or_refused(version: str) -> None:
    """10."""
    try:
        check_version(version)
    except (InvalidVersion, UnsupportedVersion):
        return
    assert 4 <= int(version) <= 7


@given(st.dictionaries(st.text(), st.text()), st.randoms(use_true_random=False))
def test_the_order_of_parameters_does_not_change_a_requests_signature(
    parameters: dict[str, str], random: Any
) -> None:
    shuffled = list(parameters.items())
    random.shuffle(shuffled)
    text = signing.request_text("POST", "/apps/1/events", parameters)
    assert signing.request_text("POST", "/apps/1/events", dict(shuffled)) == text


@given(any_text, any_text)
def test_no_text_makes_verifying_fail_in_another_way_than_no(text: str, auth: str) -> None:
    """74."""
    assert not signing.verify_authorization(APPLICATION, text, auth)
    assert not signing.verify_authorization(APPLICATION, text, f"app-key:{auth}")
    assert not signing.verify(APPLICATION.secrets, text, auth)


@given(any_text, st.text(min_size=1), st.text(min_size=1))
def test_what_was_signed_verifies_and_with_another_secret_it_does_not(
    text: str, secret: str, other: str
) -> None:
    """72."""
    signature = signing.sign(secret, text)
    assert signing.verify([other, secret], text, signature)
    # HMAC pads a short key with zeros, so one that ends in them is the same key.
    if secret.rstrip("\0") != other.rstrip("\0"):
        assert not signing.verify([other], text, signature)


socket_ids = st.from_regex(r"[0-9]{1,10}\.[0-9]{1,10}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9_\-=@,.;]{1,20}", fullmatch=True)


@given(st.tuples(socket_ids, names, any_text), st.tuples(socket_ids, names, any_text))
def test_no_two_subscriptions_share_a_signed_text(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Since socket ids and names hold no colon; that is why both are validated first."""
    assert (signing.channel_text(*one) == signing.channel_text(*other)) == (one == other)


@given(
    st.integers(1, 50),
    st.lists(st.sampled_from([0, 0.5, 1]) | st.floats(0, 100), max_size=300)
    | st.lists(st.floats(0, 100), max_size=300).map(sorted),
)
@example(1, [0, 1] * 10)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(
    limit: int, times: list[float]
) -> None:
    """130, even for a clock that goes backwards."""
    bucket = TokenBucket(limit, now=0)
    passed = sum(bucket.allow(now) for now in times)
    elapsed = max(times, default=0)
    assert passed <= limit + math.ceil(elapsed * limit)


@given(st.integers(1, 20), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60)), max_size=60))
def test_a_bucket_is_paid_back_what_it_lends(limit: int, asked: list[tuple[float, int]]) -> None:
    """199: over any time no more than the rate, but for the last that was lent."""
    bucket, now, given_before, last = TokenBucket(limit, now=0), 0.0, 0, 0
    for pause, tokens in asked:
        now += pause
        if bucket.allow(now, tokens):
            given_before, last = given_before + last, tokens
            assert given_before + min(last, limit) <= limit + now * limit + 1e-6
        else:
            wait = bucket.wait(tokens)
            assert wait > 0
            now += wait + 1e-6
            assert bucket.allow(now, tokens)
            given_before, last = given_before + last, tokens


@given(st.integers(1, 50), st.floats(0, 1e9))
def test_a_second_of_silence_fills_a_bucket(limit: int, start: float) -> None:
    """131."""
    bucket = TokenBucket(limit, now=start)
    while bucket.allow(start):
        pass
    assert sum(bucket.allow(start + 1.001) for _ in range(limit)) == limit


@pytest.mark.parametrize("kind", ChannelKind)
def test_kinds_are_known_by_their_prefix(kind: ChannelKind) -> None:
    assert kind_of(f"{kind.value}x") is kind
