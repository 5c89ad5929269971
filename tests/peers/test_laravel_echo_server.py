"""laravel-echo-server 1.6.3 with Echo over Socket.IO, in front of our site."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Valkey
from tests.live import PATIENCE, Server
from tests.live import serving as serving_site
from tests.node.process import Node, running
from tests.peers.echo_server import FOLDER, PREFIX, SocketIoPage, missing, serving

pytestmark = pytest.mark.node

Pages = Callable[[str | None], SocketIoPage]
ENDPOINTS = ["/broadcasting/auth", "/broadcasting/default/auth"]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if reason := missing():
        pytest.skip(reason)
    with running(FOLDER) as process:
        yield process


@pytest.fixture(scope="module")
def site(valkey: Valkey, live_database: Path) -> Iterator[Server]:
    """A site on WSGI that sends through Redis."""
    redis = {"BACKEND": "redis", "OPTIONS": {"url": valkey.url, "prefix": PREFIX}}
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_BROADCASTERS": json.dumps({"default": redis}),
    }
    with serving_site("wsgi", env) as server:
        yield server


@pytest.fixture(scope="module", params=ENDPOINTS)
def port(request: pytest.FixtureRequest, node: Node, valkey: Valkey, site: Server) -> Iterator[int]:
    with serving(valkey, site.url, request.param) as port:
        yield port


@pytest.fixture
def pages(node: Node, site: Server, port: int) -> Iterator[Pages]:
    """Call it with a user, or None, for one more connected page."""
    opened: list[SocketIoPage] = []
    numbers = itertools.count(1)

    def open_one(user: str | None) -> SocketIoPage:
        page = SocketIoPage(node, site, f"io {user} {next(numbers)}", user, port=port)
        opened.append(page)
        page.connect()
        return page

    yield open_one
    for page in opened:
        page.close()


def until_heard(sender: SocketIoPage, listener: SocketIoPage, channel: str, name: str) -> int:
    """Send numbers until one arrives, since the server never says that a channel is entered."""
    deadline = time.monotonic() + PATIENCE
    for number in itertools.count(1000):
        sender.dispatch(channel, number)
        if heard := listener.seen("heard", name=name):
            return int(heard[-1]["data"]["number"])
        assert time.monotonic() < deadline, f"nothing came to {listener.name}"
        time.sleep(0.02)
    raise AssertionError


@pytest.mark.parametrize(
    ("kind", "name", "channel"),
    [
        ("channel", "news", "news"),
        ("private", "orders.1", "private-orders.1"),
        ("join", "chat.1", "presence-chat.1"),
    ],
)
def test_events_arrive_at_all_but_the_sender(
    pages: Pages, kind: str, name: str, channel: str
) -> None:
    """App 12, 17: the header of Socket.IO's clients, too."""
    ada, bob = pages("ada"), pages("bob")
    for page in (ada, bob):
        page.listen(kind, name)
        until_heard(ada, page, channel, name)
    ada.dispatch(channel, 1, to_others=True)
    ada.dispatch(channel, 2)
    bob.wait("heard", name=name, data={"number": 1})
    bob.wait("heard", name=name, data={"number": 2})
    ada.wait("heard", name=name, data={"number": 2})
    assert not ada.seen("heard", data={"number": 1})


@pytest.mark.parametrize(
    ("user", "kind", "name", "channel"),
    [
        ("ada", "private", "orders.13", "private-orders.13"),
        ("ada", "private", "nothing.1", "private-nothing.1"),
        ("nobody", "private", "orders.1", "private-orders.1"),
        (None, "join", "chat.1", "presence-chat.1"),
    ],
)
def test_who_may_not_join_is_told_so(
    pages: Pages, user: str | None, kind: str, name: str, channel: str
) -> None:
    page = pages(user)
    page.do("join", kind=kind, name=name)
    page.wait("refused", name=channel, error=403)


def test_members_see_each_other_come_and_go(pages: Pages) -> None:
    ada = pages("ada")
    ada.do("join", kind="join", name="chat.2")
    (member,) = ada.wait("here", name="chat.2")["members"]
    assert member["name"] == "ada"
    assert member["id"] >= 1
    bob = pages("bob")
    bob.do("join", kind="join", name="chat.2")
    members = bob.wait("here", name="chat.2")["members"]
    assert {one["name"] for one in members} == {"ada", "bob"}
    assert ada.wait("joining", name="chat.2")["member"]["name"] == "bob"
    bob.do("leave", name="chat.2")
    assert ada.wait("leaving", name="chat.2")["member"]["name"] == "bob"
    bob.do("join", kind="join", name="chat.2")
    assert ada.wait("joining", name="chat.2")["member"]["name"] == "bob"
    bob.close()
    assert ada.wait("leaving", name="chat.2")["member"]["name"] == "bob"


def test_members_whisper(pages: Pages) -> None:
    ada, bob = pages("ada"), pages("bob")
    for page in (ada, bob):
        page.listen("private", "orders.2")
        until_heard(ada, page, "private-orders.2", "orders.2")
    bob.do("listenForWhisper", kind="private", name="orders.2", **{"as": "typing"})
    ada.do("whisper", kind="private", name="orders.2", data={"by": "ada"}, **{"as": "typing"})
    assert bob.wait("whisper")["data"] == {"by": "ada"}


def test_who_left_hears_nothing_more(pages: Pages) -> None:
    ada, bob = pages("ada"), pages("bob")
    for page in (ada, bob):
        page.listen("private", "orders.3")
        page.listen("channel", "later")
        until_heard(ada, page, "private-orders.3", "orders.3")
        until_heard(ada, page, "later", "later")
    bob.do("leave", name="orders.3")
    # In order on one connection: once an answer to what follows came, it has left.
    bob.do("join", kind="private", name="orders.13")
    bob.wait("refused")
    ada.dispatch("private-orders.3", 5)
    ada.dispatch("later", 6)
    bob.wait("heard", name="later", data={"number": 6})
    assert not bob.seen("heard", data={"number": 5})
