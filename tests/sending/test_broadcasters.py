from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from broadcasting import broadcasts as broadcasts_module
from broadcasting.backplanes import BaseBackplane, Envelope
from broadcasting.backplanes.base import GapEnded, Receiver, Subscription
from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasters.locmem import LocmemBroadcaster
from broadcasting.broadcasts import Broadcast, UnreadableBroadcast, asend, send
from broadcasting.exceptions import InvalidChannelName, InvalidEventName, PayloadError

SAMPLE = Broadcast(
    name="order.shipped",
    channels=("orders", "private-orders.1"),
    data='{"id":1}',
    broadcaster="default",
    except_socket="1.2",
    event_label="shop.OrderShipped",
    id="abc",
)


class Tube(BaseBackplane):
    """Keeps envelopes."""

    envelopes: list[Envelope] = []  # noqa: RUF012

    def __init__(self, options: Mapping[str, Any]) -> None:
        pass

    def publish(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    async def apublish(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def connect(self, receive: Receiver, on_gap: GapEnded | None = None) -> Subscription:
        raise NotImplementedError


class Shouting(BaseBroadcaster):
    """A project's own driver."""

    def broadcast(self, broadcast: Broadcast) -> None:
        self.options["heard"].append(broadcast.name.upper())

    async def abroadcast(self, broadcast: Broadcast) -> None:
        self.broadcast(broadcast)


def changed(**values: Any) -> Broadcast:
    return Broadcast.from_payload(SAMPLE.to_payload() | values)


@pytest.fixture
def envelopes(configure: Any) -> Iterator[list[Envelope]]:
    configure(BACKPLANE={"BACKEND": f"{__name__}.Tube"})
    yield Tube.envelopes
    Tube.envelopes.clear()


class TestHandler:
    def test_an_alias_is_made_once_and_forgotten_with_the_settings(self, configure: Any) -> None:
        """App 24: drivers."""
        first = broadcasters["log"]
        assert broadcasters["log"] is first
        configure(BROADCASTERS={"log": {"BACKEND": "null"}})
        assert type(broadcasters["log"]).__name__ == "NullBroadcaster"

    def test_an_unknown_alias_names_the_known_ones(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="'kafka'; known: default, locmem, log"):
            broadcasters["kafka"]

    def test_a_dotted_path_is_ones_own_driver(self, configure: Any) -> None:
        """App 17: a driver of one's own."""
        entry = {"BACKEND": f"{__name__}.Shouting", "OPTIONS": {"heard": []}}
        configure(BROADCASTERS={"default": entry})
        send(SAMPLE.to_payload())
        assert broadcasters["default"].options["heard"] == ["ORDER.SHIPPED"]

    def test_an_unknown_option_is_an_error(self, configure: Any) -> None:
        configure(BROADCASTERS={"default": {"BACKEND": "channels", "OPTIONS": {"app": "x"}}})
        with pytest.raises(ImproperlyConfigured, match="no option 'app'; known: application"):
            broadcasters["default"]


class TestBroadcast:
    def test_it_travels_as_json(self) -> None:
        payload = json.loads(json.dumps(SAMPLE.to_payload()))
        assert payload["v"] == 1
        assert Broadcast.from_payload(payload) == SAMPLE

    @pytest.mark.parametrize(
        "payload", [{}, {"v": 2}, {"v": 1}, {"v": 1, "channels": [], "extra": 1}]
    )
    async def test_an_unreadable_job_is_counted_and_logged_not_fatal(
        self, payload: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(UnreadableBroadcast):
            Broadcast.from_payload(payload)
        before = broadcasts_module.unreadable
        send(payload)
        await asend(payload)
        assert broadcasts_module.unreadable == before + 2
        assert "Dropped a broadcast that cannot be read" in caplog.text


class TestChannels:
    def test_each_channel_gets_its_frame_and_envelope(self, envelopes: list[Envelope]) -> None:
        broadcasters["default"].broadcast(SAMPLE)
        first, second = envelopes
        assert first == Envelope(
            app_id="app",
            channel="orders",
            frame='{"event":"order.shipped","data":"{\\"id\\":1}","channel":"orders"}',
            except_socket="1.2",
            id="abc.0",
        )
        assert (second.channel, second.id) == ("private-orders.1", "abc.1")

    async def test_the_async_twin_does_the_same(self, envelopes: list[Envelope]) -> None:
        broadcasters["default"].broadcast(SAMPLE)
        await broadcasters["default"].abroadcast(SAMPLE)
        assert envelopes[:2] == envelopes[2:]

    def test_an_application_can_be_chosen(self, envelopes: list[Envelope], configure: Any) -> None:
        entry = {"BACKEND": "channels", "OPTIONS": {"application": "second"}}
        configure(BROADCASTERS={"default": entry})
        broadcasters["default"].broadcast(SAMPLE)
        assert {e.app_id for e in envelopes} == {"second"}

    @pytest.mark.parametrize("socket_id", ["undefined", "1", "", "1.2:private-x", '1.2"'])
    def test_a_malformed_socket_id_excludes_nobody(
        self, envelopes: list[Envelope], socket_id: str
    ) -> None:
        broadcasters["default"].broadcast(changed(except_socket=socket_id))
        assert {e.except_socket for e in envelopes} == {None}

    def test_a_payload_above_the_limit_tells_both_numbers(self) -> None:
        with pytest.raises(PayloadError, match=r"has 10\.0 KB, more than the 10 KB"):
            broadcasters["default"].broadcast(changed(data="x" * 10_241))

    def test_the_limit_counts_bytes_not_characters(self, envelopes: list[Envelope]) -> None:
        broadcasters["default"].broadcast(changed(data="x" * 10_240))
        with pytest.raises(PayloadError):
            broadcasters["default"].broadcast(changed(data="é" * 5_121))

    def test_the_applications_name_limits_hold(self, configure: Any) -> None:
        configure(
            APPLICATIONS=[
                {
                    "id": "app",
                    "key": "k",
                    "secret": "s",
                    "max_event_name_length": 5,
                    "max_channel_name_length": 8,
                }
            ]
        )
        with pytest.raises(InvalidEventName, match="more than 5"):
            broadcasters["default"].check(SAMPLE)
        with pytest.raises(InvalidChannelName, match="more than 8"):
            broadcasters["default"].check(changed(name="short"))
        # A user's own is as long as the id asks for.
        broadcasters["default"].check(changed(name="short", channels=["#server-to-user-7"]))


class TestLocalDrivers:
    async def test_log_shows_a_line_and_the_payload(self, caplog: pytest.LogCaptureFixture) -> None:
        """App 17: log."""
        caplog.set_level(logging.INFO, "broadcasting.log")
        broadcasters["log"].broadcast(SAMPLE)
        await broadcasters["log"].abroadcast(SAMPLE)
        assert caplog.messages[0] == caplog.messages[1]
        assert caplog.messages[0] == (
            'Broadcasting order.shipped on orders, private-orders.1 except to 1.2\n{\n  "id": 1\n}'
        )

    async def test_null_and_locmem_have_both_colours(self) -> None:
        """App 17: null and memory."""
        LocmemBroadcaster.clear()
        for alias in ("null", "locmem"):
            broadcasters[alias].broadcast(SAMPLE)
            await broadcasters[alias].abroadcast(SAMPLE)
        assert LocmemBroadcaster.outbox == [SAMPLE, SAMPLE]
        LocmemBroadcaster.clear()
        assert LocmemBroadcaster.outbox == []
