"""What the real client does when a server refuses it, stops or vanishes (5.15)."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from websockets.sync.server import ServerConnection

from broadcasting.server.node import FEW_REDIRECTS
from tests import live
from tests.live import Server
from tests.node.client import SUBSCRIBED, Client, back_end
from tests.node.closing import standing_in
from tests.node.conftest import Clients, Pages
from tests.node.front import fronting
from tests.node.process import Page

pytestmark = pytest.mark.node


@contextmanager
def full_server() -> Iterator[tuple[Server, Event]]:
    """A server that is over capacity (4100) for ever, and an event: the first client is back."""
    visits: list[ServerConnection] = []
    returned = Event()

    def turn_away(socket: ServerConnection) -> None:
        visits.append(socket)
        if len(visits) > 1:
            returned.set()
        socket.close(4100)

    with standing_in(turn_away) as server:
        yield server, returned


@pytest.mark.parametrize(("key", "code"), [("nobody", 4001), ("off-key", 4003)])
def test_a_refused_client_stays_away(server: Server, pages: Pages, key: str, code: int) -> None:
    """212: by the time that another one, told to wait a second, is back, it is not."""
    page = pages(server)
    page.open(key=key)
    error = page.wait("error")["error"]
    assert error["error"]["data"]["code"] == code
    page.wait("state", current="disconnected")
    with full_server() as (full, returned):
        other = pages(full)
        other.open()
        assert returned.wait(30)
        other.close()
    assert page.do("status") == "disconnected"
    # It was connecting before anybody could look.
    assert [event["current"] for event in page.seen("state")] == ["disconnected"]
    assert not page.seen("connecting_in")


def watch(page: Page) -> None:
    """Have a page do all that a page does."""
    page.listen("channel", "ticker", "Happened")
    page.join("channel", "ticker")
    page.listen("private", "orders.1", "Happened")
    page.join("private", "orders.1")
    page.join("join", "chat.1")


@pytest.mark.parametrize(
    ("own_server", "sig"),
    [
        ("uvicorn", signal.SIGTERM),
        ("uvicorn", signal.SIGKILL),
        ("daphne", signal.SIGTERM),
    ],
    indirect=["own_server"],
)
def test_everything_is_back_after_a_restart(
    own_server: Server, pages: Pages, sig: signal.Signals
) -> None:
    """213, 214, 217: new socket ids, all channels joined again, presence intact."""
    ada, bob = pages(own_server, "ada"), pages(own_server, "bob")
    with fronting(own_server.port) as front:
        before = {ada.connect(wsPort=front.port), bob.connect(wsPort=front.port)}
        watch(ada)
        watch(bob)
        ada.wait("joining")
        own_server.stop(sig)
        for page in (ada, bob):
            page.wait("state", previous="connected", current="connecting")
        own_server.start()
        after = {ada.connected(), bob.connected()}
        assert len(before | after) == 4
        expect_everything_back(ada, bob)


def expect_everything_back(ada: Page, bob: Page) -> None:
    here = []
    for page in (ada, bob):
        start = page.cursor
        for name in ("ticker", "orders.1"):
            page.cursor = start
            page.wait("subscribed", name=name)
        page.cursor = start
        here.append(len(page.wait("here")["members"]))
    assert sorted(here) == [1, 2]
    ada.dispatch("private-orders.1", 1, to_others=True)
    assert bob.wait("heard", name="orders.1")["data"] == {"number": 1}
    bob.dispatch("ticker", 2)
    assert ada.wait("heard", name="ticker")["data"] == {"number": 2}
    ada.settle()
    assert not ada.seen("heard", name="orders.1")
    bob.close()
    assert ada.wait("leaving")["member"]["name"] == "bob"


EVERYTHING = [
    "all",
    "private-all",
    "presence-all",
    "private-encrypted-all",
    "cache-all",
    "presence-cache-all",
    "private-encrypted-cache-all",
]


@pytest.mark.parametrize(
    ("own_server", "sig"),
    [("uvicorn", signal.SIGTERM), ("daphne", signal.SIGKILL)],
    indirect=["own_server"],
)
def test_channels_of_every_kind_and_the_sign_in_are_back(
    own_server: Server, clients: Clients, sig: signal.Signals
) -> None:
    """217: without Echo; the page does nothing for it."""
    ada, bob = clients(own_server, "ada"), clients(own_server, "bob")
    with fronting(own_server.port) as front:
        for client in (ada, bob):
            client.connect(wsPort=front.port)
            client.sign_in()
            for channel in EVERYTHING:
                client.subscribe(channel)
        cursors = {id(client): len(client.node.events(client.name)) for client in (ada, bob)}
        own_server.stop(sig)
        own_server.start()
        for client in (ada, bob):
            expect_subscribed_again(client, cursors[id(client)])
        with back_end(own_server) as sdk:
            for channel in EVERYTHING:
                sdk.trigger(channel, "came", {"in": channel})
            sdk.send_to_user("ada", "came", "own")
        for client in (ada, bob):
            for channel in EVERYTHING:
                assert client.hear(channel, "came") == {"in": channel}
            assert client.do("members", channel="presence-all")["count"] == 2
        assert ada.wait("user")["data"] == "own"
        assert len(ada.heard()) == len(EVERYTHING)


def expect_subscribed_again(client: Client, start: int) -> None:
    for channel in EVERYTHING:
        facts = {"channel": channel, "name": SUBSCRIBED}
        client.node.wait(client.name, start, "event", facts)
    client.node.wait(client.name, start, "own", {})


@pytest.mark.parametrize("own_server", ["uvicorn"], indirect=True)
def test_a_stopping_server_calls_its_clients_back_at_once(own_server: Server, pages: Pages) -> None:
    """213: the next attempt begins in the same breath, not after a second."""
    page = pages(own_server)
    page.connect()
    own_server.stop()
    codes = [page.wait("error")["error"]["data"]["code"] for _ in range(2)]
    assert codes == [4200, 4200]  # the event before the close, then the close itself
    closed = page.wait("error", error=page.node.events(page.name)[page.cursor]["error"])
    assert page.wait("state", current="connecting")["at"] - closed["at"] < 500


@pytest.mark.parametrize("own_server", ["daphne"], indirect=True)
def test_a_dropped_client_comes_back_after_a_second(own_server: Server, pages: Pages) -> None:
    """214: Daphne stops without a close frame."""
    page = pages(own_server)
    page.connect()
    own_server.stop()
    error = page.wait("error")
    assert error["error"]["data"]["code"] == 1006
    assert page.wait("connecting_in")["seconds"] == 1
    assert page.wait("state", current="connecting")["at"] - error["at"] > 900


@pytest.mark.full
def test_a_closed_port_costs_an_attempt(own_server: Server, pages: Pages) -> None:
    """217, with nothing in front: a refused attempt of pusher-js lasts 15 seconds all the same."""
    ada, bob = pages(own_server, "ada"), pages(own_server, "bob")
    for page in (ada, bob):
        page.connect()
        watch(page)
    ada.wait("joining")
    own_server.restart()
    for page in (ada, bob):
        page.wait("state", previous="connected")
        page.connected()
    expect_everything_back(ada, bob)


@pytest.mark.full
def test_clients_of_the_only_server_do_not_return_without_a_pause_while_it_drains(
    live_database: Path, pages: Pages
) -> None:
    """At once is what 4200 means: whoever went first would be back hundreds of times."""
    env = {"BROADCASTING_TEST_DATABASE": str(live_database)}
    slowly = {"LIVE_DRAIN_RATE": "2", "LIVE_DRAIN_SECONDS": "20"}
    with live.serving("uvicorn", env | slowly) as server:
        everybody = [pages(server, f"user{number}") for number in range(4)]
        for page in everybody:
            page.connect()
        server.stop()
    refused = Counter(
        event["error"]["error"]["data"]["code"]
        for page in everybody
        for event in page.node.events(page.name)
        if event["event"] == "error" and event["error"]["type"] == "WebSocketError"
        # Those whom nobody answers any more hear no code.
        if "data" in event["error"]["error"]
    )
    # The close of each goodbye among them.
    assert refused[4200] <= len(everybody) + FEW_REDIRECTS
    assert refused[4100]
    assert refused.keys() == {4200, 4100}
