from __future__ import annotations

import json
from typing import Any

import pytest

from broadcasting.protocol.errors import (
    InvalidChannel,
    InvalidMember,
    SubscriptionRefused,
    TooManyChannels,
)
from broadcasting.protocol.messages import Subscribe
from broadcasting.protocol.protocol import Member, Protocol
from broadcasting.protocol.signing import authorization, channel_text
from tests.protocol.conftest import MakeProtocol


def signed(
    protocol: Protocol, channel: str, channel_data: str | None = None, socket_id: str | None = None
) -> Subscribe:
    """What a client sends with the answer of a good auth endpoint."""
    text = channel_text(socket_id or protocol.socket_id, channel, channel_data)
    auth = authorization(protocol.application, text)
    return Subscribe(channel=channel, auth=auth, channel_data=channel_data)


def joining(protocol: Protocol, data: Any) -> Member | None:
    return protocol.authorize(signed(protocol, "presence-c", json.dumps(data)))


class TestChannelsWithoutSecrets:
    @pytest.mark.parametrize("auth", [None, "", "anything"])
    def test_a_public_channel_asks_for_nothing(self, connect: MakeProtocol, auth: str) -> None:
        """50, 51."""
        assert connect().authorize(Subscribe(channel="c", auth=auth)) is None

    @pytest.mark.parametrize("channel", ["privateer", "my-private-x", "presence", "cached"])
    def test_a_prefix_without_its_hyphen_asks_for_nothing(
        self, connect: MakeProtocol, channel: str
    ) -> None:
        """66."""
        assert connect().authorize(Subscribe(channel=channel)) is None

    @pytest.mark.parametrize("channel", ["", " ", "a/b", "a:b", "a!", "é", "#all", "c\n", "\ud800"])
    def test_a_name_outside_the_grammar_is_refused(
        self, connect: MakeProtocol, channel: str
    ) -> None:
        """63, 65."""
        with pytest.raises(InvalidChannel) as problem:
            connect().authorize(Subscribe(channel=channel))
        assert problem.value.channel == channel
        assert problem.value.kind == "InvalidChannel"

    def test_a_name_that_is_too_long_is_refused_and_not_repeated_in_full(
        self, connect: MakeProtocol
    ) -> None:
        """64."""
        protocol = connect()
        assert protocol.authorize(Subscribe(channel="c" * 200)) is None
        with pytest.raises(InvalidChannel) as problem:
            protocol.authorize(Subscribe(channel="c" * 60_000))
        assert problem.value.channel == "c" * 200

    def test_an_application_may_allow_less(self, connect: MakeProtocol) -> None:
        """64, strict."""
        protocol = connect(max_channel_name_length=164)
        assert protocol.authorize(Subscribe(channel="c" * 164)) is None
        with pytest.raises(InvalidChannel):
            protocol.authorize(Subscribe(channel="c" * 165))

    def test_even_a_signature_does_not_open_a_bad_name(self, connect: MakeProtocol) -> None:
        protocol = connect()
        with pytest.raises(InvalidChannel):
            protocol.authorize(signed(protocol, "private-a b"))


class TestGuardedChannels:
    @pytest.mark.parametrize("channel", ["private-x", "private-encrypted-x", "private-"])
    def test_a_good_signature_opens_it(self, connect: MakeProtocol, channel: str) -> None:
        """69, 80."""
        protocol = connect()
        assert protocol.authorize(signed(protocol, channel)) is None

    @pytest.mark.parametrize("channel", ["private-x", "private-encrypted-x", "presence-x"])
    @pytest.mark.parametrize("auth", [None, "", "app-key", "app-key:" + "0" * 64, "x:y"])
    def test_nothing_else_does(self, connect: MakeProtocol, channel: str, auth: str) -> None:
        """71, 74, 80."""
        with pytest.raises(SubscriptionRefused) as problem:
            connect().authorize(Subscribe(channel=channel, auth=auth))
        assert problem.value.channel == channel
        assert problem.value.close_code is None
        assert (problem.value.kind, problem.value.status) == ("AuthError", 401)

    def test_another_sockets_signature_does_not(self, connect: MakeProtocol) -> None:
        """72."""
        protocol = connect()
        with pytest.raises(SubscriptionRefused):
            protocol.authorize(signed(protocol, "private-x", socket_id="123.457"))

    def test_another_channels_signature_does_not(self, connect: MakeProtocol) -> None:
        """72."""
        protocol = connect()
        auth = signed(protocol, "private-x").auth
        with pytest.raises(SubscriptionRefused):
            protocol.authorize(Subscribe(channel="private-y", auth=auth))

    def test_a_refusal_does_not_spoil_the_next_attempt(self, connect: MakeProtocol) -> None:
        """77."""
        protocol = connect()
        with pytest.raises(SubscriptionRefused):
            protocol.authorize(Subscribe(channel="private-x", auth="app-key:no"))
        assert protocol.authorize(signed(protocol, "private-x")) is None

    def test_a_refusal_does_not_say_what_would_have_been_right(self, connect: MakeProtocol) -> None:
        """78."""
        protocol = connect()
        _, _, signature = str(signed(protocol, "private-x").auth).partition(":")
        with pytest.raises(SubscriptionRefused) as problem:
            protocol.authorize(Subscribe(channel="private-x", auth="app-key:no"))
        assert signature not in problem.value.message
        assert protocol.application.secret not in problem.value.message

    def test_channel_data_of_a_private_channel_is_covered_by_the_signature(
        self, connect: MakeProtocol
    ) -> None:
        protocol = connect()
        message = signed(protocol, "private-x", '{"user_id":"1"}')
        assert protocol.authorize(message) is None
        forged = Subscribe(channel="private-x", auth=message.auth, channel_data='{"user_id":"2"}')
        with pytest.raises(SubscriptionRefused):
            protocol.authorize(forged)


class TestMembers:
    def test_a_member_is_a_user_and_what_is_shown_of_them(self, connect: MakeProtocol) -> None:
        """81."""
        info = {"name": "Ada", "tags": [1, None]}
        assert joining(connect(), {"user_id": "1", "user_info": info}) == Member(
            user_id="1", user_info=info
        )

    @pytest.mark.parametrize(
        ("given", "kept"), [(42, "42"), (0, "0"), (-1, "-1"), ("42", "42"), ("123.456", "123.456")]
    )
    def test_ids_are_text_whatever_they_were(
        self, connect: MakeProtocol, given: Any, kept: str
    ) -> None:
        """89, 261."""
        assert joining(connect(), {"user_id": given}) == Member(user_id=kept)

    @pytest.mark.parametrize("data", [{}, {"user_info": None}])
    def test_a_member_may_show_nothing(self, connect: MakeProtocol, data: dict[str, Any]) -> None:
        """90."""
        member = joining(connect(), {"user_id": "1", **data})
        assert member is not None
        assert member.user_info is None

    @pytest.mark.parametrize("info", ["text", 1, [], {}, False, 'ü "\\ \N{CAT FACE}'])
    def test_a_member_may_show_anything(self, connect: MakeProtocol, info: Any) -> None:
        """107."""
        assert joining(connect(), {"user_id": "1", "user_info": info}) == Member(
            user_id="1", user_info=info
        )

    @pytest.mark.parametrize(
        "channel_data",
        ['{"user_info":{},"user_id":1}', ' { "user_id" : "1" } ', '{"user_id":"\\u0031"}'],
    )
    def test_the_text_may_be_written_in_any_way(
        self, connect: MakeProtocol, channel_data: str
    ) -> None:
        """94."""
        protocol = connect()
        member = protocol.authorize(signed(protocol, "presence-c", channel_data))
        assert member is not None
        assert member.user_id == "1"

    @pytest.mark.parametrize("change", [(" ", ""), ("1", "2"), ('"1"', "1"), ("Ada", "Eve")])
    def test_a_byte_changed_after_signing_is_refused(
        self, connect: MakeProtocol, change: tuple[str, str]
    ) -> None:
        """93."""
        protocol = connect()
        message = signed(protocol, "presence-c", '{"user_id": "1", "user_info": "Ada"}')
        forged = str(message.channel_data).replace(*change)
        with pytest.raises(SubscriptionRefused) as problem:
            protocol.authorize(
                Subscribe(channel="presence-c", auth=message.auth, channel_data=forged)
            )
        assert problem.value.kind == "AuthError"

    @pytest.mark.parametrize(
        "channel_data",
        [None, "", "null", "1", "[]", '"x"', "not JSON", "{}", '{"user_info":{"id":1}}',
         '{"id":"1"}', '{"user_id":NaN}', "[" * 5_000, "\ud800"],
        ids=lambda data: str(data)[:16],
    )  # fmt: skip
    def test_presence_needs_to_know_who_it_is(
        self, connect: MakeProtocol, channel_data: str | None
    ) -> None:
        """95."""
        protocol = connect()
        with pytest.raises(InvalidMember) as problem:
            protocol.authorize(signed(protocol, "presence-c", channel_data))
        assert problem.value.channel == "presence-c"
        assert problem.value.kind == "InvalidMember"

    @pytest.mark.parametrize(
        "user_id", [True, False, None, 1.0, 1.5, "", [], {}, ["1"], "u" * 129, int("9" * 129)]
    )
    def test_an_id_is_short_text_or_a_whole_number(
        self, connect: MakeProtocol, user_id: Any
    ) -> None:
        """100."""
        with pytest.raises(InvalidMember, match="1 to 128 characters"):
            joining(connect(), {"user_id": user_id})

    def test_an_id_ends_at_128_characters(self, connect: MakeProtocol) -> None:
        """100."""
        for user_id in ("u" * 128, int("9" * 128)):
            assert joining(connect(), {"user_id": user_id}) == Member(user_id=str(user_id))

    def test_what_is_shown_ends_at_its_limit_in_bytes(self, connect: MakeProtocol) -> None:
        """100. A letter with an accent is two bytes."""
        protocol = connect(max_presence_member_size_kb=1)
        fits = {"name": "é" * ((1024 - len('{"name":""}')) // 2)}
        assert joining(protocol, {"user_id": "1", "user_info": fits})
        with pytest.raises(InvalidMember, match="larger than 1 KB"):
            joining(protocol, {"user_id": "1", "user_info": {"name": fits["name"] + "xx"}})

    def test_an_application_may_let_members_show_more(self, connect: MakeProtocol) -> None:
        member = joining(
            connect(max_presence_member_size_kb=2), {"user_id": "1", "user_info": ["x" * 2_000]}
        )
        assert member is not None

    def test_a_number_beyond_floats_is_told_on_the_channel(self, connect: MakeProtocol) -> None:
        protocol = connect()
        with pytest.raises(InvalidMember) as problem:
            protocol.authorize(
                signed(protocol, "presence-c", '{"user_id":"1","user_info":{"x":1e999}}')
            )
        assert problem.value.channel == "presence-c"


def test_a_connection_is_in_so_many_channels_at_most(connect: MakeProtocol) -> None:
    protocol = connect(max_channels_per_connection=2)
    for channel in ("a", "b"):
        protocol.authorize(Subscribe(channel=channel))
        protocol.subscriptions[channel] = None
    with pytest.raises(TooManyChannels) as refused:
        protocol.authorize(Subscribe(channel="c"))
    assert (refused.value.kind, refused.value.channel) == ("LimitReached", "c")
    protocol.authorize(Subscribe(channel="a"))
    del protocol.subscriptions["a"]
    protocol.authorize(Subscribe(channel="c"))
