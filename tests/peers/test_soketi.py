"""A site on WSGI that sends through the driver ``pusher``, with Echo's client ``pusher``.

The server is soketi 1.6.1, and our own, a process without Redis: both must look alike.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcasting.broadcasters.pusher import PusherBroadcaster
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import BroadcastRefused
from tests.live import Server
from tests.live import serving as serving_ours
from tests.live_settings import MASTER_KEY
from tests.node.conftest import Pages, node, opening
from tests.node.process import Node, Page
from tests.peers import soketi_server

__all__ = ["node"]

pytestmark = pytest.mark.node

CREDENTIALS = {"app_id": "app", "key": "app-key", "secret": "app-secret"}


@pytest.fixture(scope="module", params=["soketi", "ours"])
def port(request: pytest.FixtureRequest, live_database: Path) -> Iterator[int]:
    """Where the sockets are."""
    if request.param == "ours":
        with serving_ours("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as server:
            yield server.port
        return
    if reason := soketi_server.missing():
        pytest.skip(reason)
    with soketi_server.serving() as found:
        yield found


@pytest.fixture(scope="module")
def options(port: int) -> dict[str, Any]:
    place = {"host": "127.0.0.1", "port": port, "use_tls": False}
    return {**CREDENTIALS, **place, "encryption_master_key": MASTER_KEY}


@pytest.fixture(scope="module")
def site(options: dict[str, Any], live_database: Path) -> Iterator[Server]:
    """A site that holds no sockets."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_BROADCASTERS": json.dumps({"default": {"BACKEND": "pusher", "OPTIONS": options}}),
    }
    with serving_ours("wsgi", env) as server:
        yield server


@pytest.fixture
def pages(node: Node, port: int) -> Iterator[Pages]:
    """Call it with the site and a user for one more page, whose socket is elsewhere."""
    # pusher-js insists on a cluster even where a host is given.
    yield from opening(node, Page, common={"broadcaster": "pusher", "cluster": "", "wsPort": port})


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, options: dict[str, Any]) -> Iterator[Any]:
    """Call it for a method of the driver, in each colour."""
    driver = PusherBroadcaster(options)

    def one(deed: str, *values: Any) -> Any:
        if request.param == "sync":
            return getattr(driver, deed)(*values)

        async def on_a_loop() -> Any:
            try:
                return await getattr(driver, f"a{deed}")(*values)
            finally:
                await driver.aclose()

        return asyncio.run(on_a_loop())

    yield one
    driver.close()


@pytest.mark.parametrize(
    ("kind", "name", "channel"),
    [
        ("channel", "news", "news"),
        ("private", "orders.1", "private-orders.1"),
        ("encryptedPrivate", "orders.1", "private-encrypted-orders.1"),
        ("join", "chat.1", "presence-chat.1"),
    ],
)
def test_events_arrive_at_all_but_the_sender(
    site: Server, pages: Pages, kind: str, name: str, channel: str
) -> None:
    """App 12: the socket of another server."""
    ada, bob = pages(site, "ada"), pages(site, "bob")
    for page in (ada, bob):
        page.connect()
        page.listen(kind, name, "Happened")
        page.join(kind, name)
    ada.dispatch(channel, 1, to_others=True)
    ada.dispatch(channel, 2)
    assert ada.wait("heard")["data"] == {"number": 2}
    assert bob.wait("heard")["data"] == {"number": 1}
    assert bob.wait("heard")["data"] == {"number": 2}
    assert len(ada.seen("heard")) == 1


def test_who_may_not_join_is_told_so(site: Server, pages: Pages) -> None:
    page = pages(site, "ada")
    page.connect()
    page.do("join", kind="private", name="orders.13")
    error = page.wait("refused", name="orders.13")["error"]
    assert (error["type"], error["status"]) == ("AuthError", 403)


def test_members_see_each_other_come_and_go(site: Server, pages: Pages) -> None:
    ada, bob = pages(site, "ada"), pages(site, "bob")
    for page in (ada, bob):
        page.connect()
    ada.join("join", "chat.2")
    assert [member["name"] for member in ada.wait("here")["members"]] == ["ada"]
    bob.join("join", "chat.2")
    assert sorted(member["name"] for member in bob.wait("here")["members"]) == ["ada", "bob"]
    assert ada.wait("joining")["member"]["name"] == "bob"
    bob.close()
    assert ada.wait("leaving")["member"]["name"] == "bob"


def test_a_batch_arrives_in_its_order(site: Server, pages: Pages, call: Any) -> None:
    page = pages(site, "ada")
    page.connect()
    for kind, name in (("channel", "batched"), ("encryptedPrivate", "orders.2")):
        page.listen(kind, name, "Happened")
        page.join(kind, name)
    names = ["batched", "private-encrypted-orders.2"]
    call("broadcast_many", [made(*names, number=number) for number in range(8)])
    for name in ("batched", "orders.2"):
        for number in range(8):
            page.node.wait(page.name, 0, "heard", {"name": name, "data": {"number": number}})
        heard = [one["data"]["number"] for one in page.seen("heard", name=name)]
        assert heard == [*range(8)]


def test_an_event_for_more_channels_than_a_request_takes(
    site: Server, pages: Pages, call: Any
) -> None:
    page = pages(site, "ada")
    page.connect()
    page.listen("channel", "many-101", "Happened")
    page.join("channel", "many-101")
    call("broadcast", made(*(f"many-{number}" for number in range(102)), number=5))
    assert page.wait("heard")["data"] == {"number": 5}


def test_who_is_there_can_be_asked(site: Server, pages: Pages, call: Any) -> None:
    page = pages(site, "ada")
    page.connect()
    page.join("join", "chat.3")
    member = page.wait("here")["members"][0]
    assert "presence-chat.3" in call("channels", "presence-chat.3")
    assert call("channels", "nothing-like-it") == {}
    assert call("channel", "presence-chat.3")["occupied"] is True
    assert call("channel", "private-nobody")["occupied"] is False
    assert call("members", "presence-chat.3") == [str(member["id"])]


def test_who_signed_in_is_disconnected(site: Server, pages: Pages, call: Any) -> None:
    page = pages(site, "ada")
    page.connect()
    page.join("join", "chat.4")
    user_id = str(page.wait("here")["members"][0]["id"])
    page.do("signin")
    page.wait("own", channel=f"#server-to-user-{user_id}")
    call("disconnect", user_id)
    page.wait("state", current="disconnected")


def test_a_wrong_secret_is_refused(options: dict[str, Any]) -> None:
    """soketi says so with status 200, and the true one in the body."""
    driver = PusherBroadcaster({**options, "secret": "wrong"})
    with pytest.raises(BroadcastRefused) as raised:
        driver.broadcast(made("news", number=1))
    driver.close()
    assert raised.value.status == 401


def made(*channels: str, number: int) -> Broadcast:
    return Broadcast(
        name="Happened", channels=channels, data=json.dumps({"number": number}), broadcaster="p"
    )
