"""pusher-js signs in: what is sent to a user, who is online, and who is shown the door."""

from __future__ import annotations

import pytest

from tests.live import Server
from tests.node.client import back_end, publish
from tests.node.conftest import Clients

pytestmark = pytest.mark.node

versions = pytest.mark.parametrize("version", [7, 8])


@versions
def test_a_user_is_reached_wherever_signed_in(
    server: Server, clients: Clients, version: int
) -> None:
    """144, 260; the tabs of others hear nothing."""
    ada, ada_too, bob = clients(server, "ada"), clients(server, "ada"), clients(server, "bob")
    for client in (ada, ada_too, bob):
        client.connect(version=version)
        client.sign_in()
    assert ada.whoami()["user"]["id"] == "ada"
    with back_end(server) as sdk:
        sdk.send_to_user("ada", "came", {"a": 1})
        sdk.send_to_user("bob", "came", {"b": 1})
    for client, data in ((ada, {"a": 1}), (ada_too, {"a": 1}), (bob, {"b": 1})):
        assert client.wait("user")["data"] == data
        client.settle()
        assert len(client.seen("user")) == 1


def test_signing_in_says_who_joins(server: Server, clients: Clients) -> None:
    """A presence channel without channel_data: the signed-in user is the member."""
    ada, bob = clients(server, "ada"), clients(server, "bob")
    ada.connect(member=False)
    ada.sign_in()
    assert ada.subscribe("presence-signed-in")["me"] == {"id": "ada", "info": {"name": "ada"}}
    bob.connect()
    told = bob.subscribe("presence-signed-in")
    assert told["members"] == {"ada": {"name": "ada"}, "bob": {"name": "bob"}}


@versions
def test_a_watchlist(server: Server, clients: Clients, version: int) -> None:
    """154; a second tab of the watched is no news."""
    ada, bob, bob_too = clients(server, "ada"), clients(server, "bob"), clients(server, "bob")
    ada.connect(version=version, watchlist=["bob", "cleo"])
    ada.sign_in()
    assert ada.wait("watchlist", name="offline")["data"]["user_ids"] == ["bob", "cleo"]
    for client in (bob, bob_too):
        client.connect()
        client.sign_in()
    assert ada.wait("watchlist", name="online")["data"]["user_ids"] == ["bob"]
    bob.close()
    bob_too.settle()
    bob_too.close()
    assert ada.wait("watchlist", name="offline")["data"]["user_ids"] == ["bob"]
    ada.settle()
    assert len(ada.seen("watchlist")) == 3


@versions
def test_terminated_connections_stay_away(server: Server, clients: Clients, version: int) -> None:
    """212: 4009; the page may come back by itself."""
    ada, ada_too, bob = clients(server, "ada"), clients(server, "ada"), clients(server, "bob")
    for client in (ada, ada_too, bob):
        client.connect(version=version)
        client.sign_in()
    bob.subscribe("presence-shown-out")
    ada.subscribe("presence-shown-out")
    bob.hear("presence-shown-out", "pusher:member_added")
    with back_end(server) as sdk:
        sdk.terminate_user_connections("ada")
    for client in (ada, ada_too):
        # In a frame first, then in the close itself.
        assert [client.wait("error")["error"]["data"]["code"] for _ in range(2)] == [4009, 4009]
        client.wait("state", current="disconnected")
        assert not client.seen("connecting_in")
    bob.hear("presence-shown-out", "pusher:member_removed")
    bob.settle()
    assert bob.whoami()["state"] == "connected"
    ada.do("connect")
    ada.connected()
    # Signing in and joining again is the library's own doing.
    assert ada.hear("presence-shown-out", "pusher:subscription_succeeded")["count"] == 2


def test_a_refused_sign_in_ends_nothing(server: Server, clients: Clients) -> None:
    """215: the socket goes on without a user."""
    client = clients(server, "ada")
    client.connect()
    forged = {"auth": "full-key:" + "0" * 64, "user_data": '{"id":"ada"}'}
    client.do("frame", frame={"event": "pusher:signin", "data": forged})
    assert client.wait("error")["error"]["type"] == "PusherError"
    client.subscribe("calm")
    publish(server, "calm", "came", 1)
    assert client.hear("calm", "came") == 1
    assert client.whoami()["user"] is None
