"""pusher-js, unmodified and without Echo, against both servers: channels of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import WAYS, Server, serving
from tests.node.client import COUNTED, MASTER_KEY, SUBSCRIBED, caller, publish
from tests.node.conftest import Clients

pytestmark = pytest.mark.node

OTHER_KEY = "Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmc="
KINDS = ["", "private-", "presence-", "private-encrypted-"]
versions = pytest.mark.parametrize("version", [7, 8])


@pytest.fixture(params=WAYS)
def inner_server(request: pytest.FixtureRequest, live_database: Path) -> Iterator[Server]:
    """A server under /inner that pings after a second and gives up after another."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_ACTIVITY_TIMEOUT": "1",
        "LIVE_PONG_TIMEOUT": "1",
        "LIVE_PATH": "/inner",
    }
    with serving(request.param, env) as running:
        yield running


class TestConnection:
    def test_silence_is_filled_with_pings(self, inner_server: Server, clients: Clients) -> None:
        """247; both versions, on a path of their own (``wsPath``)."""
        both = [clients(inner_server, "ada"), clients(inner_server, "bob")]
        for client, version in zip(both, (7, 8), strict=True):
            client.connect(version=version, wsPath="/inner")
        for client in both:
            # Either side may be the first to miss the other; three are longer than the patience.
            for _ in range(3):
                client.wait("beat")
            client.subscribe("presence-alive")
            assert [state["current"] for state in client.seen("state")] == ["connected"]


class TestChannels:
    @versions
    def test_every_kind_is_entered_and_heard(
        self, server: Server, clients: Clients, version: int
    ) -> None:
        """140, 247."""
        client, other = clients(server, "ada"), clients(server, "bob")
        client.connect(version=version)
        other.connect(version=version)
        for kind in KINDS:
            client.subscribe(f"{kind}news")
            publish(server, f"{kind}news", "came", {"kind": kind, "text": "žluťoučký 🐎"})
            told = client.hear(f"{kind}news", "came")
            assert told == {"kind": kind, "text": "žluťoučký 🐎"}
        client.settle()
        other.settle()
        assert len(client.heard()) == len(KINDS)
        assert not other.heard()

    @versions
    def test_what_was_left_is_silent(self, server: Server, clients: Clients, version: int) -> None:
        """247."""
        client = clients(server, "ada")
        client.connect(version=version)
        for kind in KINDS:
            client.subscribe(f"{kind}left")
            client.do("unsubscribe", channel=f"{kind}left")
        client.settle()
        for kind in KINDS:
            publish(server, f"{kind}left", "came", {"kind": kind})
        client.settle()
        assert not client.heard()

    @pytest.mark.parametrize(
        ("verbs", "heard"),
        [
            ("subscribe unsubscribe", 0),
            ("subscribe unsubscribe subscribe", 1),
            ("subscribe unsubscribe subscribe unsubscribe", 0),
            ("subscribe subscribe", 1),
        ],
    )
    @pytest.mark.parametrize("kind", ["", "private-"])
    def test_a_change_of_mind(
        self, server: Server, clients: Clients, kind: str, verbs: str, heard: int
    ) -> None:
        """The library defers or takes back what is under way; the server ends up agreeing."""
        client = clients(server, "ada")
        client.connect()
        for verb in verbs.split():
            client.do(verb, channel=f"{kind}mind")
        # One answer to the subscription, then what the library made of it.
        client.settle()
        client.settle()
        assert caller(server).trigger(f"{kind}mind", "came", "1").status == 200
        client.settle()
        assert len(client.heard()) == heard

    @versions
    def test_data_of_every_type(self, server: Server, clients: Clients, version: int) -> None:
        """247; what is not JSON stays the text it is."""
        client = clients(server)
        client.connect(version=version)
        client.subscribe("types")
        for data in ["{}", "[1]", '"text"', "1.5", "true", "no JSON", "{broken"]:
            assert caller(server).trigger("types", "came", data).status == 200
        told = [client.hear("types", "came") for _ in range(7)]
        assert told == [{}, [1], "text", 1.5, True, "no JSON", "{broken"]


class TestPresence:
    @versions
    def test_members(self, server: Server, clients: Clients, version: int) -> None:
        """247."""
        ada, bob, bob_too = clients(server, "ada"), clients(server, "bob"), clients(server, "bob")
        for client in (ada, bob, bob_too):
            client.connect(version=version)
        told = ada.subscribe("presence-room")
        assert told["me"] == {"id": "ada", "info": {"name": "ada"}}
        assert told["count"] == 1
        told = bob.subscribe("presence-room")
        assert (told["count"], told["members"]["ada"]) == (2, {"name": "ada"})
        bobs = {"id": "bob", "info": {"name": "bob"}}
        assert ada.hear("presence-room", "pusher:member_added") == bobs
        assert bob_too.subscribe("presence-room")["count"] == 2
        bob.do("unsubscribe", channel="presence-room")
        bob.settle()
        ada.settle()
        assert ada.do("members", channel="presence-room")["count"] == 2
        bob_too.close()
        assert ada.hear("presence-room", "pusher:member_removed") == bobs
        assert ada.do("members", channel="presence-room") == {
            "members": {"ada": {"name": "ada"}},
            "count": 1,
            "me": {"id": "ada", "info": {"name": "ada"}},
        }


class TestClientEvents:
    @versions
    def test_the_sender_is_known_on_presence_channels_alone(
        self, server: Server, clients: Clients, version: int
    ) -> None:
        """247; types are kept, and nothing comes back to the sender."""
        ada, bob = clients(server, "ada"), clients(server, "bob")
        for client in (ada, bob):
            client.connect(version=version)
            for kind in ("private-", "presence-"):
                client.subscribe(f"{kind}talk")
                client.do("bind", channel=f"{kind}talk", name="client-typed")
        for kind, metadata in (("private-", {}), ("presence-", {"user_id": "ada"})):
            for data in ({"a": [1]}, "text", 2, [None]):
                ada.do("trigger", channel=f"{kind}talk", name="client-typed", data=data)
                told = bob.wait("told", channel=f"{kind}talk")
                assert (told["data"], told["metadata"]) == (data, metadata)
        ada.settle()
        assert not ada.seen("told")

    def test_encrypted_channels_have_none(self, server: Server, clients: Clients) -> None:
        client = clients(server, "ada")
        client.connect()
        client.subscribe("private-encrypted-talk")
        with pytest.raises(AssertionError, match="not currently supported for encrypted"):
            client.do("trigger", channel="private-encrypted-talk", name="client-a", data=1)


class TestEncryption:
    @versions
    def test_a_wrong_key_is_asked_for_once_more(
        self, server: Server, clients: Clients, version: int
    ) -> None:
        """142, where asking again helps."""
        client = clients(server, "ada")
        client.connect(version=version, masters=[OTHER_KEY, MASTER_KEY])
        client.subscribe("private-encrypted-key")
        publish(server, "private-encrypted-key", "came", {"a": 1})
        assert client.hear("private-encrypted-key", "came") == {"a": 1}
        assert len(client.seen("authorized")) == 2

    @versions
    def test_a_key_that_stays_wrong_costs_the_event(
        self, server: Server, clients: Clients, version: int
    ) -> None:
        """142: one more request and no crash; another channel is not disturbed."""
        client = clients(server, "ada")
        client.connect(version=version, masters=[OTHER_KEY])
        client.subscribe("private-encrypted-key")
        client.subscribe("plain")
        publish(server, "private-encrypted-key", "came", {"a": 1})
        publish(server, "plain", "came", {"a": 2})
        assert client.hear("plain", "came") == {"a": 2}
        assert len(client.seen("authorized")) == 2
        assert not client.heard("private-encrypted-key")
        assert not client.seen("error")

    def test_what_is_not_encrypted_is_dropped(self, server: Server, clients: Clients) -> None:
        """Nobody without the key can speak there, not even the holder of the secret."""
        client = clients(server, "ada")
        client.connect()
        client.subscribe("private-encrypted-key")
        for data in ("{}", '{"nonce":"AAAA","ciphertext":"AAAA"}'):
            assert caller(server).trigger("private-encrypted-key", "came", data).status == 200
        publish(server, "private-encrypted-key", "came", "last")
        assert client.hear("private-encrypted-key", "came") == "last"
        assert len(client.heard()) == 1


class TestErrors:
    def test_an_error_of_one_channel_is_no_other_channels_business(
        self, server: Server, clients: Clients
    ) -> None:
        """215, 266."""
        client = clients(server, "ada")
        socket_id = client.connect(forged=["private-odd"])
        client.subscribe("calm")
        client.subscribe("presence-calm")
        client.do("subscribe", channel="private-odd")
        error = client.wait("error")["error"]
        assert (error["type"], error["data"]["code"]) == ("PusherError", 4009)
        client.settle()
        told = [event["name"] for event in client.seen("event", channel="private-odd")]
        assert told == ["pusher:error", "pusher:subscription_error"]
        publish(server, "calm", "came", 1)
        publish(server, "presence-calm", "came", 2)
        assert client.hear("calm", "came") == 1
        assert client.hear("presence-calm", "came") == 2
        names = {event["name"] for event in client.seen("event") if "calm" in event["channel"]}
        assert names == {SUBSCRIBED, COUNTED, "came"}
        assert client.whoami()["socketId"] == socket_id
        assert len(client.seen("state")) == len(client.seen("state", current="connected"))
