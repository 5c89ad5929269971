"""The driver ``pusher`` against a stand-in: what is asked, how it is signed, what errors become."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured

from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasters.pusher import PusherBroadcaster
from broadcasting.broadcasters.pusher.broadcaster import base_url
from broadcasting.broadcasters.pusher.requests import Request, signed
from broadcasting.broadcasts import Broadcast
from broadcasting.exceptions import (
    BroadcasterUnavailable,
    BroadcastRefused,
    EncryptionUnavailable,
    InvalidChannelName,
    InvalidEventName,
    NotAllSent,
    PayloadError,
)
from broadcasting.protocol import encryption
from broadcasting.protocol.application import Application
from broadcasting.protocol.signing import request_text, sign
from tests.live import free_port
from tests.webhooks.receiver import DIE, HANG, Receiver, receiving

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECRET = "very-secret-indeed"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def pusher(port: int, **options: Any) -> PusherBroadcaster:
    base = {"app_id": "shop", "key": "k", "secret": SECRET, "host": "localhost", "port": port}
    return PusherBroadcaster({**base, "use_tls": False, **options})


def made(*channels: str, **values: Any) -> Broadcast:
    values = {"name": "OrderShipped", "data": '{"id":1}', "broadcaster": "p"} | values
    return Broadcast(channels=channels, **values)


async def send(broadcaster: PusherBroadcaster, colour: str, *broadcasts: Broadcast) -> None:
    """Send as one, or as many, in one colour, and let the connections go."""
    try:
        if colour == "sync" and len(broadcasts) == 1:
            broadcaster.broadcast(broadcasts[0])
        elif colour == "sync":
            broadcaster.broadcast_many(broadcasts)
        elif len(broadcasts) == 1:
            await broadcaster.abroadcast(broadcasts[0])
        else:
            await broadcaster.abroadcast_many(broadcasts)
    finally:
        broadcaster.close()
        await broadcaster.aclose()


def bodies(receiver: Receiver, path: str = "/apps/shop/events") -> list[dict[str, Any]]:
    """Return what was asked of ``path``, each signature verified."""
    found = []
    for request in receiver.requests:
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query))
        assert url.path == path
        assert query["body_md5"] == hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        assert query["auth_signature"] == sign(SECRET, request_text("POST", path, query))
        found.append(request.content)
    return found


both = pytest.mark.parametrize("colour", ["sync", "async"])


@pytest.mark.parametrize(
    ("application", "now", "path", "body", "md5", "signature"),
    [
        (
            Application(id="3", key="278d425bdf160c739803", secret="7ad3773142a6692b25b8"),
            1353088179,
            "/apps/3/events",
            rb'{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}',
            "ec365a775a4cd0599faeb73354201b6f",
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        ),
        (
            Application(id="app-id", key="app-key", secret="app-secret"),
            1700000000,
            "/apps/app-id/events",
            rb'{"name":"OrderShipped","data":"{\"id\":1}","channel":"private-orders.1"}',
            "c0e2777b7a59b7eb3fb1064e5ebc6f20",
            "92ff28a9f603e44ff33b5a35246a1c51b03625523b02479b4b4ce7cafa677d56",
        ),
    ],
)
def test_requests_are_signed_as_published(
    application: Application, now: float, path: str, body: bytes, md5: str, signature: str
) -> None:
    """App 1: requests."""
    request = Request(method="POST", path="/events", body=body)
    made_path, query = signed(application, request, now)
    assert (made_path, query["body_md5"], query["auth_signature"]) == (path, md5, signature)


@both
async def test_one_channel_is_named_alone(receiver: Receiver, colour: str) -> None:
    await send(pusher(receiver.port), colour, made("orders", except_socket="1.2"))
    assert bodies(receiver) == [
        {"name": "OrderShipped", "data": '{"id":1}', "channel": "orders", "socket_id": "1.2"}
    ]


@both
async def test_a_malformed_socket_id_is_not_sent(receiver: Receiver, colour: str) -> None:
    await send(pusher(receiver.port), colour, made("orders", except_socket='1"2'))
    assert "socket_id" not in bodies(receiver)[0]


@both
async def test_channels_go_by_the_hundred(receiver: Receiver, colour: str) -> None:
    """App 3: in their order."""
    names = [f"c-{number}" for number in range(201)]
    await send(pusher(receiver.port), colour, made(*names))
    asked = bodies(receiver)
    assert [body.get("channels") for body in asked] == [names[:100], names[100:200], None]
    assert asked[2]["channel"] == "c-200"


@both
async def test_each_encrypted_channel_has_a_request_and_a_key(
    receiver: Receiver, colour: str
) -> None:
    """App 4: and what is plain has its own."""
    names = ("orders", "private-encrypted-a", "private-encrypted-b")
    broadcaster = pusher(receiver.port, encryption_master_key=MASTER_KEY)
    await send(broadcaster, colour, made(*names))
    plain, *sealed = bodies(receiver)
    assert plain["channel"] == "orders"
    master_key = encryption.read_master_key(MASTER_KEY)
    for body in sealed:
        key = encryption.channel_key(body["channel"], master_key)
        assert encryption.decrypt(body["data"], key) == '{"id":1}'
    assert [body["channel"] for body in sealed] == [*names[1:]]


@both
async def test_several_go_by_ten_in_their_order(receiver: Receiver, colour: str) -> None:
    several = [made("a", "b", name=f"n{number}") for number in range(6)]
    await send(pusher(receiver.port), colour, *several)
    batches = [body["batch"] for body in bodies(receiver, "/apps/shop/batch_events")]
    assert [len(batch) for batch in batches] == [10, 2]
    assert [event["name"] for event in batches[0][:3]] == ["n0", "n0", "n1"]


@both
async def test_of_several_the_sound_ones_are_sent(receiver: Receiver, colour: str) -> None:
    large = made("a", data="x" * 10_241)
    with pytest.raises(NotAllSent) as raised:
        await send(pusher(receiver.port), colour, large, made("b"))
    [(refused, error)] = raised.value.failures
    assert refused is large
    assert isinstance(error, PayloadError)
    [body] = bodies(receiver, "/apps/shop/batch_events")
    assert [event["channel"] for event in body["batch"]] == ["b"]


@both
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_event_that_a_server_refuses_takes_no_other_with_it(
    receiver: Receiver, colour: str, status: int
) -> None:
    receiver.answer = lambda number, path, webhook_id: status if number in (1, 3) else 200
    several = [made("a", name=f"n{number}") for number in range(12)]
    with pytest.raises(NotAllSent) as raised:
        await send(pusher(receiver.port), colour, *several)
    [(refused, error)] = raised.value.failures
    assert refused is several[1]
    assert isinstance(error, BroadcastRefused)
    batches = [body["batch"] for body in bodies(receiver, "/apps/shop/batch_events")]
    assert [len(batch) for batch in batches] == [10, *[1] * 10, 2]
    assert [event["name"] for batch in batches[1:] for event in batch] == [
        one.name for one in several
    ]


@both
@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_server_that_refuses_the_sender_is_not_asked_for_each(
    receiver: Receiver, colour: str, status: int
) -> None:
    receiver.answer = lambda number, path, webhook_id: status
    several = [made("a"), made("b")]
    with pytest.raises(NotAllSent) as raised:
        await send(pusher(receiver.port), colour, *several)
    assert [broadcast for broadcast, _ in raised.value.failures] == several
    assert len(receiver.requests) == 1


@both
async def test_the_prefix_of_a_proxy_is_not_signed(receiver: Receiver, colour: str) -> None:
    await send(pusher(receiver.port, path="/ws/"), colour, made("orders"))
    url = urlsplit(receiver.requests[0].path)
    query = dict(parse_qsl(url.query))
    assert url.path == "/ws/apps/shop/events"
    text = request_text("POST", "/apps/shop/events", query)
    assert query["auth_signature"] == sign(SECRET, text)


@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BroadcastRefused),
        (401, BroadcastRefused),
        (413, BroadcastRefused),
        (429, BroadcasterUnavailable),
        (500, BroadcasterUnavailable),
        (503, BroadcasterUnavailable),
    ],
)
async def test_errors_say_what_was_answered(
    receiver: Receiver, colour: str, status: int, kind: type[BroadcastRefused]
) -> None:
    receiver.answer = lambda number, path, webhook_id: status
    with pytest.raises(kind) as raised:
        await send(pusher(receiver.port), colour, made("orders"))
    assert raised.value.status == status
    assert SECRET not in repr(raised.value) + str(raised.value)
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301
    assert (again.status, again.body, str(again)) == (status, raised.value.body, str(raised.value))


@both
@pytest.mark.parametrize("answer", [HANG, DIE])
async def test_no_answer_may_be_tried_again(receiver: Receiver, colour: str, answer: int) -> None:
    receiver.answer = lambda number, path, webhook_id: answer
    with pytest.raises(BroadcasterUnavailable) as raised:
        await send(pusher(receiver.port, timeout=0.2), colour, made("orders"))
    assert raised.value.status is None


@both
async def test_a_dead_server_is_asked_but_once_a_second(colour: str) -> None:
    broadcaster = pusher(free_port())
    with pytest.raises(BroadcasterUnavailable, match="ConnectError"):
        await send(broadcaster, colour, made("orders"))
    with pytest.raises(BroadcasterUnavailable, match="a moment ago"):
        await send(broadcaster, colour, made("orders"))


@pytest.mark.parametrize(
    "options", [{"app_id": ""}, {"key": None}, {"secret": ""}, {"timeout": 0}, {"timeout": "x"}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured, match="'pusher'"):
        pusher(80, **options)


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://api-mt1.pusher.com:443"),
        ({"cluster": "eu"}, "https://api-eu.pusher.com:443"),
        ({"host": "ws.test", "port": 8080, "use_tls": False}, "http://ws.test:8080"),
        ({"host": "ws.test", "path": "a/b/"}, "https://ws.test:443/a/b"),
    ],
)
def test_where_the_server_is(options: dict[str, Any], url: str) -> None:
    assert base_url(options) == url


@pytest.mark.parametrize(
    ("broadcast", "error"),
    [
        (lambda: made("a", data="x" * 10_241), PayloadError),
        (lambda: made("private-encrypted-a"), EncryptionUnavailable),
    ],
)
def test_what_cannot_be_sent_is_known_before(
    broadcast: Callable[[], Broadcast], error: type[Exception]
) -> None:
    with pytest.raises(error):
        pusher(80).check(broadcast())
    pusher(80).check(made("a", data="x" * 10_240))


def test_a_tenants_own_is_built_on_demand(receiver: Receiver) -> None:
    options = pusher(receiver.port).options
    built = broadcasters.build({"BACKEND": "pusher", "OPTIONS": options})
    built.broadcast(made("orders"))
    built.close()
    assert bodies(receiver)[0]["channel"] == "orders"


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"BACKEND": "no-such"},
        {"BACKEND": "null", "OPTIONS": {"x": 1}},
        {"BACKEND": "null", "x": 1},
    ],
)
def test_what_cannot_be_built_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        broadcasters.build(entry)


async def test_closing_lets_the_next_send_open_again(receiver: Receiver, settings: Any) -> None:
    options = pusher(receiver.port).options
    entry = {"BACKEND": "pusher", "OPTIONS": options}
    settings.BROADCASTING = settings.BROADCASTING | {"BROADCASTERS": {"default": entry}}
    for _ in range(2):
        broadcasters["default"].broadcast(made("orders"))
        await broadcasters["default"].abroadcast(made("orders"))
        broadcasters.close()
        await broadcasters.aclose()
    assert len(bodies(receiver)) == 4


@pytest.mark.parametrize(
    ("place", "longest"), [({"host": "ws.test"}, 200), ({"host": None, "cluster": "eu"}, 164)]
)
def test_a_name_that_is_too_long_is_known_before(place: dict[str, Any], longest: int) -> None:
    broadcaster = pusher(80, **place)
    broadcaster.check(made("c" * longest, name="n" * 200))
    with pytest.raises(InvalidChannelName, match=f"more than {longest} characters"):
        broadcaster.check(made("c" * (longest + 1)))
    with pytest.raises(InvalidEventName, match="more than 200 characters"):
        broadcaster.check(made("c", name="n" * 201))
    # A user's own is as long as the id asks for.
    broadcaster.check(made("#server-to-user-" + "7" * 128))
