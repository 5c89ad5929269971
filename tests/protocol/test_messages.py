from __future__ import annotations

import json
from typing import Any

import pytest

from broadcasting.protocol import messages
from broadcasting.protocol.errors import InvalidMessage, PresenceFull, SubscriptionRefused
from broadcasting.protocol.messages import ClientEvent, Ping, Pong, Subscribe, Unsubscribe


def frame(event: str, **rest: Any) -> str:
    return json.dumps({"event": event, **rest})


class TestWhatClientsSend:
    @pytest.mark.parametrize("rest", [{}, {"data": {}}, {"data": "{}"}, {"data": None}])
    def test_a_ping_may_carry_anything(self, rest: dict[str, Any]) -> None:
        """26, 27."""
        assert messages.decode(frame("pusher:ping", **rest)) == Ping()

    @pytest.mark.parametrize("rest", [{}, {"data": {}}, {"data": "{}"}])
    def test_a_pong_may_carry_anything(self, rest: dict[str, Any]) -> None:
        """34."""
        assert messages.decode(frame("pusher:pong", **rest)) == Pong()

    @pytest.mark.parametrize("auth", [{}, {"auth": None}])
    def test_a_subscription_without_auth_has_none(self, auth: dict[str, None]) -> None:
        """51."""
        text = frame("pusher:subscribe", data={"channel": "c", **auth})
        assert messages.decode(text) == Subscribe(channel="c")

    def test_an_empty_auth_is_kept(self) -> None:
        """50: pusher-js sends it for public channels."""
        text = frame("pusher:subscribe", data={"channel": "c", "auth": ""})
        assert messages.decode(text) == Subscribe(channel="c", auth="")

    def test_a_subscription_keeps_its_channel_data_as_it_was_written(self) -> None:
        """94: what was signed is the text, not the value."""
        data = {"channel": "presence-c", "auth": "k:s", "channel_data": '{ "user_id" : 1 }'}
        assert messages.decode(frame("pusher:subscribe", data=data)) == Subscribe(
            channel="presence-c", auth="k:s", channel_data='{ "user_id" : 1 }'
        )

    def test_channel_data_may_be_null(self) -> None:
        """256."""
        data = {"channel": "private-c", "auth": "k:s", "channel_data": None}
        assert messages.decode(frame("pusher:subscribe", data=data)) == Subscribe(
            channel="private-c", auth="k:s"
        )

    @pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe"])
    def test_data_may_be_a_json_string(self, event: str) -> None:
        """46."""
        message = messages.decode(frame(event, data='{"channel":"c"}'))
        assert isinstance(message, Subscribe | Unsubscribe)
        assert message.channel == "c"

    def test_an_unsubscription_names_its_channel(self) -> None:
        text = frame("pusher:unsubscribe", data={"channel": "c"})
        assert messages.decode(text) == Unsubscribe(channel="c")

    @pytest.mark.parametrize("data", [{"a": [1]}, "text", 1, 1.5, [], None, True, ""])
    def test_a_client_event_keeps_its_data_and_the_type_of_it(self, data: Any) -> None:
        """122, 123."""
        message = messages.decode(frame("client-x", channel="private-c", data=data))
        assert message == ClientEvent(event="client-x", channel="private-c", data=data)
        assert isinstance(message, ClientEvent)
        assert type(message.data) is type(data)

    def test_other_keys_of_a_client_event_are_left_behind(self) -> None:
        """133, 134, 137: a forged user_id above all."""
        text = frame("client-x", channel="private-c", data=1, user_id="7", socket_id="1.1")
        message = messages.decode(text)
        assert isinstance(message, ClientEvent)
        relayed = messages.event(message.event, message.channel, message.data)
        assert relayed == '{"event":"client-x","data":1,"channel":"private-c"}'

    def test_names_are_told_apart_by_case(self) -> None:
        """67."""
        upper = messages.decode(frame("pusher:subscribe", data={"channel": "C"}))
        assert upper != messages.decode(frame("pusher:subscribe", data={"channel": "c"}))


class TestWhatClientsGetWrong:
    @pytest.mark.parametrize(
        "text",
        ["", "hello", "{", '{"event":}', "{'event':'pusher:ping'}", '{"event":"pusher:ping"} x',
         "\ufeff{}", '{"data":NaN,"event":"pusher:ping"}', '{"data":-Infinity,"event":"e"}',
         "1" * 5_000],
        ids=lambda text: text[:20],
    )  # fmt: skip
    def test_what_is_not_json_is_refused(self, text: str) -> None:
        """37."""
        with pytest.raises(InvalidMessage, match="Invalid JSON"):
            messages.decode(text)

    @pytest.mark.parametrize("text", ["[]", "1", "null", '"pusher:ping"', "true", "[{}]"])
    def test_what_is_not_an_object_is_refused(self, text: str) -> None:
        """38."""
        with pytest.raises(InvalidMessage, match="must be a JSON object"):
            messages.decode(text)

    @pytest.mark.parametrize("event", ["", '"data":{}', '"event":null', '"event":1', '"event":[]'])
    def test_an_object_without_an_event_is_refused(self, event: str) -> None:
        """39."""
        with pytest.raises(InvalidMessage, match="string 'event'"):
            messages.decode(f"{{{event}}}")

    @pytest.mark.parametrize(
        "event",
        ["pusher:foo", "", "x", "xclient-y", "Client-x", "client", "client_x", "PUSHER:PING",
         "pusher:ping ", "pusher:signin_success", "pusher:subscription_succeeded"],
    )  # fmt: skip
    def test_an_unknown_event_is_refused(self, event: str) -> None:
        """40, 127."""
        with pytest.raises(InvalidMessage, match="Unknown event"):
            messages.decode(frame(event, channel="private-c", data={}))

    @pytest.mark.parametrize("event", ["member_added", "member_removed", "subscription_succeeded"])
    def test_the_servers_own_events_are_not_a_clients_to_send(self, event: str) -> None:
        """41."""
        with pytest.raises(InvalidMessage):
            messages.decode(frame(f"pusher_internal:{event}", channel="presence-c", data="{}"))

    @pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe"])
    @pytest.mark.parametrize("channel", [{}, {"channel": 1}, {"channel": None}, {"channel": {}}])
    def test_a_channel_must_be_text(self, event: str, channel: dict[str, Any]) -> None:
        """47."""
        with pytest.raises(InvalidMessage, match=f"{event} must have a string 'channel'"):
            messages.decode(frame(event, data=channel))

    @pytest.mark.parametrize("event", ["pusher:subscribe", "pusher:unsubscribe"])
    @pytest.mark.parametrize("data", [None, 1, [], "[]", "null", '"c"', True])
    def test_the_data_of_a_subscription_must_be_an_object(self, event: str, data: Any) -> None:
        with pytest.raises(InvalidMessage, match=f"'data' of {event} must be an object"):
            messages.decode(frame(event, data=data))

    @pytest.mark.parametrize("data", ["", "c", "{"])
    def test_a_subscription_in_a_string_must_be_json(self, data: str) -> None:
        with pytest.raises(InvalidMessage, match="Invalid JSON"):
            messages.decode(frame("pusher:subscribe", data=data))

    @pytest.mark.parametrize("key", ["auth", "channel_data"])
    @pytest.mark.parametrize("value", [1, {}, [], False])
    def test_what_is_signed_must_be_text(self, key: str, value: Any) -> None:
        with pytest.raises(InvalidMessage, match=f"'{key}' of pusher:subscribe must be a string"):
            messages.decode(frame("pusher:subscribe", data={"channel": "c", key: value}))

    @pytest.mark.parametrize(
        "rest", [{}, {"channel": "c"}, {"data": 1}, {"channel": 1, "data": 1}, {"channel": None}]
    )
    def test_a_client_event_needs_channel_and_data(self, rest: dict[str, Any]) -> None:
        """135."""
        with pytest.raises(InvalidMessage, match="string 'channel' and 'data'"):
            messages.decode(frame("client-x", **rest))

    @pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 400 + ".0"])
    def test_a_number_that_no_float_holds_is_not_taken(self, number: str) -> None:
        """It would be infinity here, and infinity is not JSON: nobody could be told."""
        with pytest.raises(InvalidMessage, match="Invalid JSON"):
            messages.decode(f'{{"event":"client-x","channel":"private-c","data":{number}}}')

    @pytest.mark.parametrize("text", ["[" * 50_000, '{"a":' * 50_000])
    def test_a_stack_of_brackets_does_not_cost_ours(self, text: str) -> None:
        with pytest.raises(InvalidMessage, match="nested too deeply"):
            messages.decode(text)

    def test_what_is_nested_too_deeply_is_not_taken(self) -> None:
        """One level is the message's own."""
        deepest = messages.MAX_NESTING - 1
        text = '{"event":"client-x","channel":"private-c","data":%s}'
        messages.decode(text % ("[" * deepest + "]" * deepest))
        for opening, closing in [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]:
            data = opening * (deepest + 1) + "1" + closing * (deepest + 1)
            with pytest.raises(InvalidMessage, match="nested too deeply"):
                messages.decode(text % data)

    def test_many_brackets_that_are_not_nested_are_fine(self) -> None:
        data: list[object] = [[], {}] * messages.MAX_NESTING + ["[" * messages.MAX_NESTING]
        messages.decode(frame("client-x", channel="private-c", data=data))


class TestWhatServersSend:
    """258: compact JSON, keys in the order event, data, channel."""

    def test_the_greeting_has_its_data_as_a_string(self) -> None:
        """1, 2."""
        assert messages.connection_established("123.456", 120) == (
            '{"event":"pusher:connection_established",'
            '"data":"{\\"socket_id\\":\\"123.456\\",\\"activity_timeout\\":120}"}'
        )

    def test_ping_and_pong_carry_an_empty_object_as_a_string(self) -> None:
        assert messages.PING == '{"event":"pusher:ping","data":"{}"}'
        assert messages.PONG == '{"event":"pusher:pong","data":"{}"}'

    def test_a_public_or_private_channel_is_answered_with_an_empty_object(self) -> None:
        """50."""
        assert messages.subscription_succeeded("c") == (
            '{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"c"}'
        )

    def test_a_members_coming_and_going_are_strings(self) -> None:
        """82, 84, 85."""
        assert messages.member_added("presence-c", "2", {"name": "B"}) == (
            '{"event":"pusher_internal:member_added",'
            '"data":"{\\"user_id\\":\\"2\\",\\"user_info\\":{\\"name\\":\\"B\\"}}",'
            '"channel":"presence-c"}'
        )
        assert messages.member_removed("presence-c", "2") == (
            '{"event":"pusher_internal:member_removed",'
            '"data":"{\\"user_id\\":\\"2\\"}","channel":"presence-c"}'
        )

    def test_user_info_round_trips_whatever_it_holds(self) -> None:
        """107."""
        info = {"name": 'Zoë "Z" \N{CAT FACE} \u2028 \\ </script>'}
        added = json.loads(messages.member_added("presence-c", "1", info))
        assert json.loads(added["data"])["user_info"] == info

    @pytest.mark.parametrize("data", ["hello", "", '{ "a" :\t"\\u00e9" }', "null", '"x"', "{}"])
    def test_a_programs_data_is_the_same_string_for_the_client(self, data: str) -> None:
        """52, 53, 54, 141."""
        assert json.loads(messages.event("e", "c", data))["data"] == data

    def test_an_event_names_its_channel_last(self) -> None:
        assert messages.event("e", "c", '{"a":1}') == (
            '{"event":"e","data":"{\\"a\\":1}","channel":"c"}'
        )

    def test_an_event_of_a_member_says_whose_it_is(self) -> None:
        """101."""
        assert messages.event("client-x", "presence-c", None, "1") == (
            '{"event":"client-x","data":null,"channel":"presence-c","user_id":"1"}'
        )

    def test_an_error_without_a_code_says_null(self) -> None:
        assert messages.error(InvalidMessage("Invalid JSON")) == (
            '{"event":"pusher:error","data":{"message":"Invalid JSON","code":null}}'
        )

    def test_an_error_about_a_channel_names_it(self) -> None:
        """71."""
        assert messages.error(SubscriptionRefused("No", channel="private-c")) == (
            '{"event":"pusher:error","data":{"message":"No","code":4009},"channel":"private-c"}'
        )

    def test_a_refused_subscription_is_told_in_the_words_of_echo(self) -> None:
        """76."""
        assert messages.subscription_error(SubscriptionRefused("No", channel="private-c")) == (
            '{"event":"pusher:subscription_error",'
            '"data":{"type":"AuthError","error":"No","status":401},"channel":"private-c"}'
        )

    def test_a_full_channel_is_told_in_the_words_of_echo(self) -> None:
        """98."""
        data = json.loads(messages.subscription_error(PresenceFull(channel="presence-c")))["data"]
        assert data == {
            "type": "LimitReached",
            "error": "The presence channel is full",
            "status": 4100,
        }

    def test_text_stays_readable_and_half_a_character_stays_json(self) -> None:
        assert messages.encode({"a": "é\N{CAT FACE}"}) == '{"a":"é\N{CAT FACE}"}'
        assert messages.encode({"a": "é\ud800"}) == '{"a":"\\u00e9\\ud800"}'

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_what_browsers_cannot_read_is_not_encoded(self, number: float) -> None:
        with pytest.raises(ValueError, match="Out of range"):
            messages.encode({"a": [number]})
