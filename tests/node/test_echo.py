"""Laravel Echo and pusher-js, unmodified, against both servers and with both broadcasters.
Numbers are those of the conformance list."""

from __future__ import annotations

import pytest

from tests.conformance.caller import Caller
from tests.live import Server
from tests.node.conftest import Pages

pytestmark = pytest.mark.node


@pytest.fixture
def pages(pages_of_both: Pages) -> Pages:
    return pages_of_both


def test_an_event_of_django_reaches_a_public_channel(server: Server, pages: Pages) -> None:
    """App 16. 245."""
    page, other = pages(server), pages(server)
    page.connect()
    other.connect()
    page.listen("channel", "ticker", "Happened")
    page.join("channel", "ticker")
    page.dispatch("ticker", 7)
    assert page.wait("heard", name="ticker")["data"] == {"number": 7}
    other.settle()
    assert not other.seen("heard")


def test_a_private_channel_asks_django(server: Server, pages: Pages) -> None:
    """App 16. 245."""
    page = pages(server, "ada")
    page.connect()
    page.listen("private", "orders.1", "Happened")
    page.join("private", "orders.1")
    page.dispatch("private-orders.1", 1)
    assert page.wait("heard", name="orders.1")["data"] == {"number": 1}


def test_a_rolled_back_event_never_arrives(server: Server, pages: Pages) -> None:
    page = pages(server, "ada")
    page.connect()
    page.listen("private", "orders.1", "Happened")
    page.join("private", "orders.1")
    page.dispatch("private-orders.1", 1, rollback=True)
    page.dispatch("private-orders.1", 2)
    assert page.wait("heard")["data"] == {"number": 2}
    assert len(page.seen("heard")) == 1


@pytest.mark.parametrize(
    ("user", "name"), [("ada", "orders.13"), ("ada", "nothing"), (None, "orders.1")]
)
def test_a_denial_reaches_the_error_callback(
    server: Server, pages: Pages, user: str | None, name: str
) -> None:
    """App 16: the error callback on 403."""
    page = pages(server, user)
    page.connect()
    page.do("join", kind="private", name=name)
    error = page.wait("refused", name=name)["error"]
    assert (error["type"], error["status"]) == ("AuthError", 403)
    page.settle()
    assert not page.seen("subscribed")
    page.join("channel", "ticker")


def test_a_bad_signature_reaches_the_error_callback(server: Server, pages: Pages) -> None:
    """215, 216: the answer of an auth view that has the wrong secret."""
    page = pages(server, "ada")
    socket_id = page.connect(authEndpoint=f"{server.url}/forged-auth/")
    page.do("join", kind="private", name="orders.1")
    assert page.wait("error")["error"]["data"]["code"] == 4009
    error = page.wait("refused", name="orders.1")["error"]
    assert (error["type"], error["status"]) == ("AuthError", 401)
    page.dispatch("private-orders.1", 1)
    page.settle()
    assert not page.seen("subscribed")
    assert page.do("socketId") == socket_id
    page.join("channel", "ticker")


def test_presence_tells_who_is_here_who_comes_and_who_goes(server: Server, pages: Pages) -> None:
    """App 16. 245; and a user's second tab is no news."""
    ada, bob, bob_too = pages(server, "ada"), pages(server, "bob"), pages(server, "bob")
    for page in (ada, bob, bob_too):
        page.connect()
    ada.join("join", "chat.1")
    alone = ada.wait("here")["members"]
    assert [member["name"] for member in alone] == ["ada"]
    bob.join("join", "chat.1")
    assert sorted(member["name"] for member in bob.wait("here")["members"]) == ["ada", "bob"]
    assert ada.wait("joining")["member"]["name"] == "bob"
    bob_too.join("join", "chat.1")
    assert len(bob_too.wait("here")["members"]) == 2
    bob_too.do("leave", name="chat.1")
    bob_too.settle()
    ada.settle()
    assert not ada.seen("leaving")
    bob.close()
    assert ada.wait("leaving")["member"]["name"] == "bob"
    ada.settle()
    assert len(ada.seen("joining")) == 1
    assert len(ada.seen("leaving")) == 1
    assert not bob_too.seen("joining")


def test_a_whisper_reaches_the_others_with_its_true_sender(server: Server, pages: Pages) -> None:
    """138; 133: whatever the sender claims."""
    ada, bob = pages(server, "ada"), pages(server, "bob")
    for page in (ada, bob):
        page.connect()
        page.do("listenForWhisper", kind="join", name="chat.2", **{"as": "typing"})
        page.join("join", "chat.2")
    adas_id, bobs_id = (page.wait("here")["members"][-1]["id"] for page in (ada, bob))
    ada.do("whisper", kind="join", name="chat.2", data={"on": True}, **{"as": "typing"})
    told = bob.wait("whisper", name="chat.2")
    assert told["data"] == {"on": True}
    assert told["metadata"] == {"user_id": str(adas_id)}
    forged = {"event": "client-typing", "channel": "presence-chat.2", "data": 1}
    ada.do("frame", frame=forged | {"user_id": str(bobs_id)})
    assert bob.wait("whisper")["metadata"] == {"user_id": str(adas_id)}
    ada.settle()
    assert not ada.seen("whisper")


def test_a_whisper_on_a_private_channel(server: Server, pages: Pages) -> None:
    ada, bob = pages(server, "ada"), pages(server, "bob")
    for page in (ada, bob):
        page.connect()
        page.do("listenForWhisper", kind="private", name="orders.2", **{"as": "typing"})
        page.join("private", "orders.2")
    bob.do("whisper", kind="private", name="orders.2", data="text", **{"as": "typing"})
    assert ada.wait("whisper")["data"] == "text"


@pytest.mark.parametrize(
    ("kind", "prefix"), [("private", "private"), ("encryptedPrivate", "private-encrypted")]
)
def test_to_others_spares_the_tab_that_asked(
    server: Server, pages: Pages, kind: str, prefix: str
) -> None:
    """App 12, 16. 245, 246: the request's X-Socket-ID; a key from the auth view."""
    ada, bob = pages(server, "ada"), pages(server, "bob")
    for page in (ada, bob):
        page.connect()
        page.listen(kind, "orders.6", "Happened")
        page.join(kind, "orders.6")
    ada.dispatch(f"{prefix}-orders.6", 1, to_others=True)
    ada.dispatch(f"{prefix}-orders.6", 2)
    assert ada.wait("heard")["data"] == {"number": 2}
    assert bob.wait("heard")["data"] == {"number": 1}
    assert bob.wait("heard")["data"] == {"number": 2}
    assert len(ada.seen("heard")) == 1


def test_leaving(server: Server, pages: Pages) -> None:
    """245: ``leave`` ends every kind of a name, ``leaveChannel`` the very channel."""
    page, other = pages(server, "ada"), pages(server, "bob")
    names = {"channel": "chat.3", "private": "private-orders.4", "join": "presence-chat.3"}
    for one in (page, other):
        one.connect()
        for kind, wire in names.items():
            name = wire.removeprefix("private-").removeprefix("presence-")
            one.listen(kind, name, "Happened")
            one.join(kind, name)
    page.do("leave", name="chat.3")
    page.do("leaveChannel", name="private-orders.4")
    page.settle()
    for number, wire in enumerate(names.values()):
        page.dispatch(wire, number)
    for number in range(len(names)):
        other.wait("heard", data={"number": number})
    page.settle()
    assert not page.seen("heard")
    assert other.seen("leaving")


@pytest.mark.parametrize(
    ("name", "heard_as"),
    [
        ("OrderShipped", ["OrderShipped", ".OrderShipped"]),
        ("order.shipped", [".order.shipped"]),
        ("App\\Events\\OrderShipped", ["App.Events.OrderShipped", "App\\Events\\OrderShipped"]),
    ],
)
def test_names_with_and_without_the_leading_dot(
    server: Server, pages: Pages, name: str, heard_as: list[str]
) -> None:
    """App 16. 249, under ``namespace: false``: a leading dot goes, others are turned."""
    page = pages(server)
    page.connect()
    for as_ in ("OrderShipped", ".OrderShipped", "order.shipped", ".order.shipped"):
        page.listen("channel", "ticker", as_)
    for as_ in ("App.Events.OrderShipped", "App\\Events\\OrderShipped"):
        page.listen("channel", "ticker", as_)
    page.join("channel", "ticker")
    assert Caller(server).trigger("ticker", name, '{"a":1}').status == 200
    page.settle()
    assert [event["as"] for event in page.seen("heard")] == heard_as
    assert all(event["data"] == {"a": 1} for event in page.seen("heard"))


def test_the_namespace_of_laravel(server: Server, pages: Pages) -> None:
    """App 16: under Laravel's namespace."""
    page = pages(server)
    page.connect(namespace="App.Events")
    page.listen("channel", "ticker", "OrderShipped")
    page.listen("channel", "ticker", ".OrderShipped")
    page.join("channel", "ticker")
    caller = Caller(server)
    assert caller.trigger("ticker", "App\\Events\\OrderShipped", "{}").status == 200
    assert caller.trigger("ticker", "OrderShipped", "{}").status == 200
    page.settle()
    assert [event["as"] for event in page.seen("heard")] == ["OrderShipped", ".OrderShipped"]


def test_a_notification(server: Server, pages: Pages) -> None:
    """App 16. 245: the one event name that Echo has of its own."""
    page = pages(server, "ada")
    page.connect()
    page.do("notification", kind="private", name="orders.5")
    page.join("private", "orders.5")
    name = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
    sent = Caller(server).trigger("private-orders.5", name, '{"id":"1","type":"paid"}')
    assert sent.status == 200
    assert page.wait("notified")["data"] == {"id": "1", "type": "paid"}


def test_rows_tell_of_themselves(server: Server, pages: Pages) -> None:
    """App 16: a model's events, under their leading dot and on the row's own channel."""
    page = pages(server, "ada")
    page.connect(namespace="App.Events")
    for action in ("Created", "Updated", "Deleted"):
        page.listen("private", "blog.Post.41", f".Post{action}")
    page.join("private", "blog.Post.41")
    for title in ("One", "Two", None):
        page.post("/rows/", pk=41, title=title)
    for action, title in (("Created", "One"), ("Updated", "Two"), ("Deleted", "Two")):
        heard = page.wait("heard", **{"as": f".Post{action}"})["data"]
        assert heard == {"model": {"id": 41, "title": title}}


@pytest.mark.parametrize("path", ["/notify/", "/anotify/"])
def test_users_are_notified(server: Server, pages: Pages, path: str) -> None:
    """App 16: notification(), on the private channel that needs no rule."""
    ada, bob = pages(server, "ada"), pages(server, "bob")
    for page, name in ((ada, "auth.User.1"), (bob, "auth.User.2")):
        page.connect(namespace="App.Events")
        page.do("notification", kind="private", name=name)
        page.join("private", name)
    ada.post(path, users=["ada", "bob"], number=7)
    ids = set()
    for page in (ada, bob):
        for kind in ("Reminded", "Paid"):
            told = page.wait("notified")["data"]
            ids.add(told.pop("id"))
            assert told == {"number": 7, "type": f"tests.liveapp.notifications.{kind}"}
    assert len(ids) == 4
