"""What pusher-js does about each close code (5.15)."""

from __future__ import annotations

import time

import pytest

from tests.conformance.caller import Caller
from tests.live import PATIENCE, Server
from tests.node.closing import closing
from tests.node.conftest import Clients

pytestmark = pytest.mark.node

FOR_GOOD = (4001, 4003, 4004, 4009, 4301)
AFTER_A_SECOND = (4100, 1001, 1006, 1011)
AT_ONCE = (4200, 4201)
CODES = (*FOR_GOOD, *AFTER_A_SECOND, *AT_ONCE)


def test_close_codes(clients: Clients) -> None:
    """212, 213, 214: from a stand-in, all at once; those who stay away had as long as the rest."""
    keys = {
        f"v{version}-{when}-{code}": (version, code)
        for version in (7, 8)
        for code in CODES
        for when in ("late", "early")
        if when == "late" or code > 4000
    }
    with closing() as (server, stand_in):
        opened = {key: clients(server) for key in keys}
        for key, (version, _) in keys.items():
            opened[key].open(key=key, version=version)
        stand_in.wait_for_return([key for key, (_, code) in keys.items() if code not in FOR_GOOD])
        for key, (_, code) in keys.items():
            gaps = stand_in.gaps(key)
            if code in FOR_GOOD:
                opened[key].wait("state", current="disconnected")
                assert not gaps, key
            else:
                # A second of a clock that is not quite ours.
                assert [gap > 0.99 for gap in gaps] == [code in AFTER_A_SECOND], (key, gaps)
        for client in opened.values():
            client.close()


def test_an_application_that_is_full(server: Server, clients: Clients) -> None:
    """212, from our own server."""
    first, second = clients(server), clients(server)
    first.connect(key="one-key")
    second.open(key="one-key")
    assert second.wait("error")["error"]["error"]["data"]["code"] == 4004
    second.wait("state", current="disconnected")
    assert not second.seen("connecting_in")
    # It is up to the page, and then there is a place.
    first.close()
    one = Caller(server, "one", "one-key", "one-secret")
    deadline = time.monotonic() + PATIENCE
    while one.get("connections").body != {"connections": 0}:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # nothing tells when the server has forgotten a socket
    second.do("connect")
    second.connected()
