"""pysher 1.0.8, unmodified, against both servers: a client that speaks protocol 6.

Where it differs from pusher-js it is said with the test; all of it is its own doing.
"""

from __future__ import annotations

import json
from threading import Event
from typing import Any

from tests.interop.listener import Listener, listening
from tests.live import Server
from tests.node.client import publish

ADA = {"user_id": "ada", "user_info": {"name": "Ada"}}
SECRET = "full-secret"


def test_a_public_channel(server: Server) -> None:
    """It sends no ``auth`` at all; a callback is given the text that was published."""
    came = Event()
    told: list[Any] = []

    def hear(data: Any) -> None:
        told.append(data)
        came.set()

    with listening(server) as listener:
        listener.connect()
        listener.subscribe("pysher")
        listener.pusher.channel("pysher").bind("came", hear)
        publish(server, "pysher", "came", {"a": 1})
        assert came.wait(30)
        assert [json.loads(one) for one in told] == [{"a": 1}]
        listener.pusher.unsubscribe("pysher")
        listener.settle()
        publish(server, "pysher", "came", {"a": 2})
        listener.settle()
        assert len(told) == 1


def test_it_signs_for_itself(server: Server) -> None:
    """It holds the secret; its JSON has spaces, which the signature covers as they are."""
    with (
        listening(server, secret=SECRET, user_data=ADA) as ada,
        listening(server, secret=SECRET, user_data={"user_id": "bob"}) as bob,
    ):
        ada.connect()
        bob.connect()
        ada.subscribe("private-pysher")
        assert members(ada.subscribe("presence-pysher")) == {"ada": {"name": "Ada"}}
        assert members(bob.subscribe("presence-pysher")) == {"ada": {"name": "Ada"}, "bob": None}
        added = json.loads(ada.wait("presence-pysher", "pusher_internal:member_added"))
        assert added["user_id"] == "bob"
        bob.close()
        removed = json.loads(ada.wait("presence-pysher", "pusher_internal:member_removed"))
        assert removed == {"user_id": "bob"}


def test_a_client_event(server: Server) -> None:
    """Whoever listens is not told who it was: callbacks get the data alone."""
    with (
        listening(server, secret=SECRET, user_data=ADA) as ada,
        listening(server, secret=SECRET, user_data={"user_id": "bob"}) as bob,
    ):
        for one in (ada, bob):
            one.connect()
            one.subscribe("presence-pysher-talk")
        ada.pusher.channel("presence-pysher-talk").trigger("client-typed", {"a": 1})
        assert bob.wait("presence-pysher-talk", "client-typed") == {"a": 1}


def test_a_bad_signature_is_told_to_the_channel(server: Server) -> None:
    """An error without a channel would end its connection: it takes 4009 for a close code."""
    with listening(server, secret="forged") as listener:
        socket_id = listener.connect()
        listener.pusher.subscribe("private-pysher")
        assert listener.wait("private-pysher", "pusher:error")["code"] == 4009
        listener.subscribe("pysher-goes-on")
        assert listener.connection.socket_id == socket_id


def test_an_unknown_key(server: Server) -> None:
    """It gives up, as it should."""
    listener = Listener(server, key="nobody")
    listener.start()
    assert listener.wait("", "pusher:error")["code"] == 4001
    listener.connection.join(30)
    assert not listener.connection.is_alive()


def test_the_answer_of_our_auth_view_is_more_than_it_passes_on(server: Server) -> None:
    """Of what an endpoint answers it sends ``auth`` alone. Ours says who the user is, signed
    with it, so that access can be revoked: without that text the signature does not fit."""
    endpoint = f"{server.url}/broadcasting/auth"
    headers = {"Authorization": "Bearer ada"}
    options = {"auth_endpoint": endpoint, "auth_endpoint_headers": headers}
    with listening(server, key="app-key", **options) as listener:
        listener.connect()
        listener.pusher.subscribe("private-orders.1")
        assert listener.wait("private-orders.1", "pusher:error")["code"] == 4009


def test_it_returns_after_a_restart(own_server: Server) -> None:
    """With ``auto_sub`` it subscribes again, but without a signature: to public channels.

    After 4200 it tries without any pause until the server is back.
    """
    options = {"secret": SECRET, "auto_sub": True, "reconnect_interval": 0.2}
    with listening(own_server, **options) as listener:
        before = listener.connect()
        listener.subscribe("pysher")
        listener.subscribe("private-pysher")
        seen = len(listener.told)
        own_server.restart()
        listener.wait("pysher", "pusher_internal:subscription_succeeded", seen)
        assert listener.wait("private-pysher", "pusher:error", seen)["code"] == 4009
        assert listener.connection.socket_id != before
        publish(own_server, "pysher", "came", {"a": 1})
        listener.wait("pysher", "came")


def members(text: str) -> Any:
    return json.loads(text)["presence"]["hash"]
