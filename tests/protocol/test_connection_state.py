from __future__ import annotations

from dataclasses import replace

import pytest

from broadcasting.protocol.application import Application
from broadcasting.protocol.errors import (
    ApplicationDisabled,
    InvalidMessage,
    InvalidVersion,
    MessageTooLarge,
    TlsOnly,
    UnknownApplication,
    UnsupportedVersion,
)
from broadcasting.protocol.messages import PING, PONG, Ping, Pong
from broadcasting.protocol.protocol import check_application, check_version
from tests.protocol.conftest import MakeProtocol


class TestVersion:
    @pytest.mark.parametrize("version", [None, "4", "5", "6", "7", "07"])
    def test_the_last_four_versions_are_spoken_and_none_means_the_last(
        self, version: str | None
    ) -> None:
        """1, 11, 13, 257."""
        check_version(version)

    @pytest.mark.parametrize("version", ["0", "1", "3", "8", "70", "999999999"])
    def test_others_are_not(self, version: str) -> None:
        """10."""
        with pytest.raises(UnsupportedVersion):
            check_version(version)

    @pytest.mark.parametrize(
        "version", ["", "abc", "7.0", "-7", "+7", " 7", "7\n", "²", "\u0667", "7" * 5_000]
    )
    def test_what_is_not_a_number_is_told_apart(self, version: str) -> None:
        """10."""
        with pytest.raises(InvalidVersion):
            check_version(version)


class TestApplication:
    application = Application(id="app", key="app-key", secret="app-secret")

    @pytest.mark.parametrize("secure", [True, False])
    def test_an_application_that_is_there_is_returned(self, secure: bool) -> None:
        assert check_application(self.application, secure=secure) is self.application

    def test_none_is_refused(self) -> None:
        """7."""
        with pytest.raises(UnknownApplication):
            check_application(None, secure=True)

    def test_a_disabled_one_is_refused_whether_the_socket_is_secure_or_not(self) -> None:
        """8, asked before 9."""
        disabled = Application(id="1", key="k", secret="s", enabled=False, require_tls=True)
        for secure in (True, False):
            with pytest.raises(ApplicationDisabled):
                check_application(disabled, secure=secure)

    def test_one_for_tls_only_is_refused_without(self) -> None:
        """9."""
        tls_only = Application(id="1", key="k", secret="s", require_tls=True)
        assert check_application(tls_only, secure=True) is tls_only
        with pytest.raises(TlsOnly):
            check_application(tls_only, secure=False)


class TestSize:
    def test_a_frame_of_exactly_the_limit_passes(self, connect: MakeProtocol) -> None:
        """43."""
        protocol = connect(max_message_size=len(PING))
        assert protocol.receive(PING, now=0) == Ping()
        with pytest.raises(MessageTooLarge):
            protocol.receive(PING + " ", now=0)

    def test_bytes_count_not_characters(self, connect: MakeProtocol) -> None:
        text = '{"event":"pusher:ping","data":"\N{CAT FACE}"}'
        size = len(text.encode())
        assert connect(max_message_size=size).receive(text, now=0) == Ping()
        with pytest.raises(MessageTooLarge):
            connect(max_message_size=size - 1).receive(text, now=0)

    def test_an_oversize_frame_is_not_even_looked_at(self, connect: MakeProtocol) -> None:
        with pytest.raises(MessageTooLarge):
            connect(max_message_size=100).receive("[" * 1_000_000, now=0)


class TestLiveness:
    """Time is a number: seconds of any steady clock."""

    def test_a_silent_peer_is_asked_after_the_activity_timeout(self, connect: MakeProtocol) -> None:
        """29."""
        protocol = connect()
        assert not protocol.needs_ping(now=119.9, activity_timeout=120)
        assert protocol.needs_ping(now=120, activity_timeout=120)

    def test_it_is_asked_once(self, connect: MakeProtocol) -> None:
        protocol = connect()
        protocol.pinged_at = 120
        assert not protocol.needs_ping(now=500, activity_timeout=120)

    def test_who_was_asked_and_stays_silent_is_gone(self, connect: MakeProtocol) -> None:
        """31."""
        protocol = connect()
        protocol.pinged_at = 120
        assert not protocol.is_stale(now=149.9, pong_timeout=30)
        assert protocol.is_stale(now=150, pong_timeout=30)

    def test_who_was_never_asked_is_not_gone(self, connect: MakeProtocol) -> None:
        """32."""
        assert not connect().is_stale(now=1_000_000, pong_timeout=30)

    @pytest.mark.parametrize("text", [PONG, PING, '{"event":"client-x","channel":"c","data":1}'])
    def test_any_message_proves_a_peer_alive(self, connect: MakeProtocol, text: str) -> None:
        """30, 32, 33."""
        protocol = connect()
        protocol.pinged_at = 120
        protocol.receive(text, now=149)
        assert not protocol.is_stale(now=1_000, pong_timeout=30)
        assert not protocol.needs_ping(now=268, activity_timeout=120)
        assert protocol.needs_ping(now=269, activity_timeout=120)

    def test_even_nonsense_proves_a_peer_alive(self, connect: MakeProtocol) -> None:
        """33."""
        protocol = connect(max_message_size=100)
        for text, problem in [("nonsense", InvalidMessage), ("x" * 101, MessageTooLarge)]:
            protocol.pinged_at = 120
            with pytest.raises(problem):
                protocol.receive(text, now=149)
            assert not protocol.is_stale(now=1_000, pong_timeout=30)

    def test_a_sign_of_life_counts_from_when_it_was_given(self, connect: MakeProtocol) -> None:
        """35."""
        peer = connect()
        peer.pinged_at = 5
        peer.hear(4)
        assert peer.last_seen == 4
        assert peer.is_stale(now=6, pong_timeout=1)
        peer.hear(5)
        assert peer.last_seen == 5
        assert not peer.is_stale(now=6, pong_timeout=1)
        peer.hear(3)
        assert peer.last_seen == 5

    def test_a_pong_that_nobody_asked_for_is_fine(self, connect: MakeProtocol) -> None:
        """34."""
        assert connect().receive(PONG, now=1) == Pong()


class TestDemand:
    def test_who_came_before_it_was_demanded_has_its_time(self, connect: MakeProtocol) -> None:
        """156: Switched on while the connection is open."""
        protocol = connect()
        demanding = replace(
            protocol.application, enable_user_authentication=True, user_authentication_timeout=30
        )
        assert not protocol.is_unauthorized(3_600)
        protocol.adopt(demanding, 3_600)
        assert not protocol.is_unauthorized(3_629)
        assert protocol.is_unauthorized(3_630)
        protocol.adopt(replace(demanding, capacity=7), 3_620)
        assert protocol.is_unauthorized(3_630)
        protocol.authorized = True
        assert not protocol.is_unauthorized(3_700)
