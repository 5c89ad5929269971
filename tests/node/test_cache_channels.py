"""pusher-js on cache channels, and told how many listen."""

from __future__ import annotations

import itertools

import pytest

from tests.live import Server
from tests.node.client import COUNTED, publish
from tests.node.conftest import Clients

pytestmark = pytest.mark.node

MISSED = "pusher:cache_miss"
KINDS = ["cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"]
numbers = itertools.count(1)
versions = pytest.mark.parametrize("version", [7, 8])


@versions
@pytest.mark.parametrize("kind", KINDS)
def test_the_last_event_is_replayed(
    server: Server, clients: Clients, kind: str, version: int
) -> None:
    """116, 140: a miss first, then what was last published, also while nobody listened."""
    # The server keeps what it is told longer than a test.
    channel = f"{kind}news-{next(numbers)}"
    first, second = clients(server, "ada"), clients(server, "bob")
    first.connect(version=version)
    second.connect(version=version)
    first.subscribe(channel)
    first.hear(channel, MISSED)
    publish(server, channel, "came", {"number": 1})
    assert first.hear(channel, "came") == {"number": 1}
    first.do("unsubscribe", channel=channel)
    first.settle()
    publish(server, channel, "came", {"number": 2})
    second.subscribe(channel)
    assert second.hear(channel, "came") == {"number": 2}
    second.settle()
    assert len(second.heard(channel)) == 1
    assert not second.seen("event", name=MISSED)


def test_a_whisper_is_not_kept(server: Server, clients: Clients) -> None:
    """Neither is a member's coming: who joins afterwards is told that there is nothing."""
    channel = f"presence-cache-talk-{next(numbers)}"
    ada, bob, cleo = clients(server, "ada"), clients(server, "bob"), clients(server, "cleo")
    for client in (ada, bob, cleo):
        client.connect()
    ada.subscribe(channel)
    bob.subscribe(channel)
    bob.do("trigger", channel=channel, name="client-typed", data=1)
    ada.hear(channel, "client-typed")
    cleo.subscribe(channel)
    cleo.hear(channel, MISSED)


@versions
@pytest.mark.parametrize("kind", ["", "private-", "private-encrypted-", "cache-"])
def test_a_count(server: Server, clients: Clients, kind: str, version: int) -> None:
    """160, 161: the event, and the number that the library keeps of it."""
    channel = f"{kind}count-{next(numbers)}"
    first, second = clients(server, "ada"), clients(server, "bob")
    first.connect(version=version)
    second.connect(version=version)
    first.subscribe(channel)
    assert first.hear(channel, COUNTED) == {"subscription_count": 1}
    second.subscribe(channel)
    for client in (first, second):
        assert client.hear(channel, COUNTED) == {"subscription_count": 2}
        assert client.do("subscriptionCount", channel=channel) == 2
    second.close()
    assert first.hear(channel, COUNTED) == {"subscription_count": 1}


def test_members_are_not_counted_twice(server: Server, clients: Clients) -> None:
    """A presence channel has its members and no count of connections."""
    ada, bob = clients(server, "ada"), clients(server, "bob")
    ada.connect()
    bob.connect()
    ada.subscribe("presence-count")
    bob.subscribe("presence-count")
    ada.hear("presence-count", "pusher:member_added")
    ada.settle()
    assert not ada.seen("event", name=COUNTED)
