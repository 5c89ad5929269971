"""Sockets of one address: as many as there may be, whoever says which it is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.conf import ServerSettings
from broadcasting.protocol.errors import TooManyFromAddress
from broadcasting.server.addresses import Addresses
from broadcasting.server.node import get_node
from broadcasting.testing.client import PusherClient, SocketClosed
from tests import settings
from tests.server.test_proxies import scope


def limited(limit: int | None, *trusted: str) -> Addresses:
    return Addresses(ServerSettings(max_connections_per_ip=limit, trusted_proxies=trusted))


def server(**changes: Any) -> override_settings:
    return override_settings(BROADCASTING=settings.BROADCASTING | {"SERVER": changes})


def behind_nginx(address: str) -> PusherClient:
    """Return a client that comes through a unix socket."""
    return PusherClient(headers={"X-Forwarded-For": address})


async def refused(client: PusherClient) -> int:
    with pytest.raises(SocketClosed) as closed:
        await client.aconnect()
    return closed.value.code


def test_without_a_limit_nothing_is_counted():
    addresses = limited(None)
    assert addresses.enter(scope("198.51.100.1")) is None
    addresses.leave(None)
    assert len(addresses) == 0


def test_who_leaves_makes_room_and_nothing_is_kept():
    addresses = limited(2)
    places = [addresses.enter(scope("198.51.100.1")) for _ in range(2)]
    with pytest.raises(TooManyFromAddress):
        addresses.enter(scope("198.51.100.1"))
    addresses.enter(scope("198.51.100.2"))
    for place in [*places, "198.51.100.2"]:
        addresses.leave(place)
    assert len(addresses) == 0


def test_a_network_of_ipv6_is_one_address():
    addresses = limited(1)
    addresses.enter(scope("2001:db8::1"))
    with pytest.raises(TooManyFromAddress):
        addresses.enter(scope("2001:db8::ffff:1"))
    addresses.enter(scope("2001:db8:0:1::1"))


def test_one_that_cannot_be_known_is_not_limited():
    addresses = limited(1)
    assert [addresses.enter(scope(None)) for _ in range(3)] == [None] * 3


def test_the_log_names_the_setting_once_for_each_address(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "broadcasting.server")
    addresses = limited(1)
    addresses.enter(scope("10.0.0.1"))
    for _ in range(3):
        with pytest.raises(TooManyFromAddress):
            addresses.enter(scope("10.0.0.1"))
    (record,) = caplog.records
    assert "TRUSTED_PROXIES" in record.getMessage()
    assert "10.0.0.1" in record.getMessage()


async def test_one_more_is_refused_with_4100_and_counted():
    with server(MAX_CONNECTIONS_PER_IP=1):
        async with behind_nginx("198.51.100.1"), behind_nginx("198.51.100.2"):
            assert await refused(behind_nginx("198.51.100.1")) == 4100
            # What it wrote itself makes it nobody else.
            assert await refused(behind_nginx("198.51.100.3, 198.51.100.1")) == 4100
            assert get_node().counters.addresses_refused == 2
        async with behind_nginx("198.51.100.1"):
            pass
        assert len(get_node().addresses) == 0


async def test_who_is_refused_for_another_reason_takes_no_room():
    with server(MAX_CONNECTIONS_PER_IP=1):
        headers = {"X-Forwarded-For": "198.51.100.1", "Origin": "https://evil.example"}
        assert await refused(PusherClient(headers=headers)) == 4009
        assert len(get_node().addresses) == 0
        async with behind_nginx("198.51.100.1"):
            pass
