"""Whose word is taken for where a client is, and how it came."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.server.proxies import MAX_HOPS, BehindProxies, Proxies
from broadcasting.typing import Receive, Scope, Send

TRUSTED = Proxies(["10.0.0.0/8", "203.0.113.7", "2001:db8:1::/48"])


def scope(peer: str | None, *forwarded: str, kind: str = "websocket", **more: str) -> Scope:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    client = None if peer is None else (peer, 4711)
    scheme = "ws" if kind == "websocket" else "http"
    return {"type": kind, "client": client, "headers": headers, "scheme": scheme}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # Nobody in between.
        ("198.51.100.1", [], "198.51.100.1"),
        # A stranger may say what it likes.
        ("198.51.100.1", ["192.0.2.1"], "198.51.100.1"),
        # Trusted ones: of this machine, by network, by address.
        (None, ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("203.0.113.7", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::9", ["2001:db8:2::1"], "2001:db8:2::1"),
        # What the client wrote itself stands before what the proxy appended.
        ("10.1.2.3", ["192.0.2.1, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["192.0.2.1", "198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["127.0.0.1, 10.0.0.1, 198.51.100.1"], "198.51.100.1"),
        # Hop by hop through those that are trusted.
        ("10.1.2.3", ["192.0.2.1, 198.51.100.1, 10.0.0.1, 203.0.113.7"], "198.51.100.1"),
        # A client that is inside.
        ("10.1.2.3", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        # Ports, and what is no address: then it is as far as is known.
        ("10.1.2.3", ["198.51.100.1:50000"], "198.51.100.1"),
        ("10.1.2.3", ["[2001:db8:2::1]:443"], "2001:db8:2::1"),
        ("10.1.2.3", ["[2001:db8:2::1]"], "2001:db8:2::1"),
        ("10.1.2.3", ["198.51.100.1, unknown"], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1, unknown, 10.0.0.1"], "10.0.0.1"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["  "], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.1,"], "10.1.2.3"),
        ("somebody", ["198.51.100.1"], None),
        (None, [], None),
    ],
)
def test_the_address_of_a_client(peer: str | None, forwarded: list[str], client: str | None):
    found = TRUSTED.client(scope(peer, *forwarded))
    assert found == (None if client is None else ip_address(client))


def test_only_one_header_is_read():
    """A proxy that writes one of the two passes on what the client wrote into the other."""
    said = scope("10.1.2.3", "198.51.100.1", forwarded="for=192.0.2.1;proto=https")
    TRUSTED.see_through(said)
    assert (said["client"][0], said["scheme"]) == ("198.51.100.1", "ws")


def test_without_an_entry_only_this_machine_is_trusted():
    nobody = Proxies()
    assert nobody.trusts("127.0.0.1")
    assert nobody.trusts(None)
    assert not nobody.trusts("10.0.0.1")
    assert not nobody.trusts("127.0.0.1.evil.example")


def test_an_endless_row_of_hops_is_not_walked():
    row = ", ".join(["198.51.100.1", *["10.0.0.1"] * (MAX_HOPS + 1_000)])
    assert TRUSTED.client(scope("10.1.2.3", row)) == ip_address("10.0.0.1")


@pytest.mark.parametrize("entry", ["*", "10.0.0.1/8", "proxy.internal", "", "10.0.0.0/33"])
def test_what_is_no_network_is_an_error(entry: str):
    with pytest.raises(ValueError, match=r"does not appear|has host bits set"):
        Proxies([entry])


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.1.2.3", "https", "wss"),
        ("10.1.2.3", "wss", "wss"),
        ("10.1.2.3", "http", "ws"),
        ("10.1.2.3", "https, https", "wss"),
        ("10.1.2.3", "http,https", "wss"),
        ("10.1.2.3", "https, http", "ws"),
        ("10.1.2.3", "gopher", "ws"),
        (None, "https", "wss"),
        ("198.51.100.1", "https", "ws"),
    ],
)
def test_the_scheme_of_a_client(peer: str | None, said: str, scheme: str):
    for kind, expected in (("websocket", scheme), ("http", scheme.replace("ws", "http"))):
        one = scope(peer, kind=kind, x_forwarded_proto=said)
        TRUSTED.see_through(one)
        assert one["scheme"] == expected


async def test_the_application_learns_who_its_clients_are():
    seen: list[Any] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope.get("client"))

    behind, nothing = BehindProxies(application, TRUSTED), None
    for one in (scope("10.1.2.3", "198.51.100.1", kind="http"), {"type": "lifespan"}):
        await behind(one, nothing, nothing)  # type: ignore[arg-type]  # nobody asks
    assert seen == [("198.51.100.1", 0), None]


@given(st.lists(st.ip_addresses(), max_size=5), st.ip_addresses(v=4), st.text(max_size=30))
def test_nobody_outside_can_be_somebody_else(hops: list[Any], client: Any, claim: str):
    """Whatever it claims, the address that the proxy appended is the one that counts."""
    if TRUSTED.trusts(str(client)):
        return
    said = ",".join([claim, *map(str, hops), str(client)]).encode("ascii", "replace").decode()
    assert TRUSTED.client(scope("10.1.2.3", said)) == client
