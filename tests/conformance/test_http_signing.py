"""5.12: what is a signed request, and what is not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.caller import Caller, ask, md5_of
from tests.conformance.peer import Peer, join
from tests.live import Server

BODY = b'{"name":"n","channel":"signed","data":"{}"}'


@pytest.fixture
async def listener(server: Server) -> AsyncIterator[Peer]:
    """Who would hear the event of ``BODY``."""
    async with join(server) as peer:
        await peer.subscribe("signed")
        yield peer


@pytest.mark.parametrize("skew", [-598, 0, 598])
async def test_clocks_may_differ_by_ten_minutes(server: Server, listener: Peer, skew: int) -> None:
    """165, 243."""
    assert Caller(server).post(BODY, now=time.time() + skew).status == 200
    await listener.expect("n", "signed")


@pytest.mark.parametrize("skew", [-601, 602, -10_000, 10_000])
async def test_but_not_by_more(server: Server, listener: Peer, skew: int) -> None:
    """165."""
    answer = Caller(server).post(BODY, now=time.time() + skew)
    assert (answer.status, answer.body["code"]) == (401, 401)
    await listener.silence()


@pytest.mark.parametrize(
    "changes",
    [
        {"auth_key": None},
        {"auth_key": "nobody"},
        {"auth_key": "second-key"},
        {"auth_timestamp": None},
        {"auth_timestamp": "now"},
        {"auth_timestamp": "1e9"},
        {"auth_timestamp": "-1"},
        {"auth_timestamp": "9" * 400},
        {"auth_version": None},
        {"auth_version": "2.0"},
        {"body_md5": None},
        {"body_md5": ""},
        {"body_md5": md5_of(b"another body")},
        {"body_md5": "é"},
    ],
)
async def test_every_part_is_needed_and_right(
    server: Server, listener: Peer, changes: dict[str, str | None]
) -> None:
    """166, 167, 168; all of them well signed."""
    answer = Caller(server).post(BODY, changes=changes)
    assert answer.status == 401, answer
    assert answer.body.keys() == {"error", "code"}
    await listener.silence()


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "é" * 64])
async def test_a_wrong_signature(server: Server, listener: Peer, signature: str | None) -> None:
    """166; the answer shows what was to be signed, never what had to come out."""
    caller = Caller(server)
    *pairs, (_, right) = caller.sign("POST", caller.path(), BODY)
    pairs += [] if signature is None else [("auth_signature", signature)]
    answer = caller.send("POST", caller.path(), pairs, BODY)
    assert answer.status == 401
    assert right not in answer.text
    assert "app-secret" not in answer.text
    await listener.silence()


@pytest.mark.parametrize(
    "credentials",
    [
        {"secret": "second-secret"},
        {"key": "second-key", "secret": "second-secret"},
        {"app_id": "second"},
    ],
)
async def test_credentials_of_another_application(
    server: Server, listener: Peer, credentials: dict[str, str]
) -> None:
    """166, 168, 219."""
    assert Caller(server, **credentials).post(BODY).status == 401
    await listener.silence()


def test_applications_that_are_not_there(server: Server) -> None:
    """169, 198."""
    assert Caller(server, app_id="nothing").post(BODY).status == 404
    assert Caller(server, app_id="%00").post(BODY).status == 404
    assert Caller(server, "1002", "off-key", "off-secret").post(BODY).status == 403
    assert Caller(server, "1002", "off-key", "wrong").post(BODY).status == 401


async def test_order_and_case_of_the_parameters(server: Server, listener: Peer) -> None:
    """172."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY)
    for query in (sorted(pairs), pairs[::-1], [(name.title(), value) for name, value in pairs]):
        assert caller.send("POST", caller.path(), query, BODY).status == 200
        await listener.expect("n", "signed")


@pytest.mark.parametrize("value", ["a,b", "a b", "a=b", "a+b", "100%", "é", "a&b", ""])
async def test_values_are_signed_decoded(server: Server, listener: Peer, value: str) -> None:
    """173: whether they travel escaped or raw."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY, extra={"what": value})
    assert caller.send("POST", caller.path(), pairs, BODY).status == 200
    await listener.expect("n", "signed")
    if value in ("a,b", "a=b", "a+b"):
        raw = "&".join(f"{name}={text}" for name, text in pairs)
        assert caller.send("POST", caller.path(), raw, BODY).status == 200
        await listener.expect("n", "signed")


async def test_nothing_is_added_or_changed_after_signing(server: Server, listener: Peer) -> None:
    """174."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY, extra={"info": "user_count"})
    changed = [(name, "cache" if name == "info" else value) for name, value in pairs]
    added = [*pairs, ("more", "1")]
    fewer = [(name, value) for name, value in pairs if name != "info"]
    for query in (changed, added, fewer):
        assert caller.send("POST", caller.path(), query, BODY).status == 401
    assert caller.send("POST", caller.path("batch_events"), pairs, BODY).status == 401
    assert caller.send("POST", caller.path(), pairs, BODY + b" ").status == 401
    await listener.silence()


@pytest.mark.parametrize("again", ["auth_key", "Auth_Key", "more"])
def test_a_repeated_parameter_is_an_error(server: Server, again: str) -> None:
    """One of them would go unsigned, somewhere."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY, extra={"more": "1"})
    value = dict(pairs)[again.lower()]
    assert caller.send("POST", caller.path(), [*pairs, (again, value)], BODY).status == 400


@pytest.mark.parametrize("signed", ["/realtime/apps/app/events", "/apps/app/events"])
async def test_the_path_is_signed_with_the_prefix_or_without(
    hasty_server: Server, signed: str
) -> None:
    """175."""
    caller = Caller(hasty_server)
    async with join(hasty_server, path="/realtime/app/app-key") as peer:
        peer.polite = True
        await peer.subscribe("signed")
        pairs = caller.sign("POST", signed, BODY)
        assert caller.send("POST", "/realtime/apps/app/events", pairs, BODY).status == 200
        await peer.expect("n", "signed")
        assert caller.send("POST", "/apps/app/events", pairs, BODY).status == 404


async def test_an_escaped_path_is_signed_raw_or_decoded(server: Server, listener: Peer) -> None:
    """173: of an application whose id must be escaped by nobody, but may be."""
    caller = Caller(server)
    sent = "/apps/%61pp/events"
    for signed in (sent, caller.path()):
        pairs = caller.sign("POST", signed, BODY)
        assert caller.send("POST", sent, pairs, BODY).status == 200
        await listener.expect("n", "signed")


async def test_one_connection_carries_many_requests(server: Server, listener: Peer) -> None:
    """176: also past those that were refused, their bodies unread or not."""
    caller = Caller(server)
    connection = caller.connect()
    path = caller.path()
    connection.connect()
    socket = connection.sock
    for number in range(20):
        answer = ask(connection, "POST", path, caller.sign("POST", path, BODY), BODY)
        assert answer.status == 200
        assert int(answer.headers["content-length"]) == len(answer.text.encode()) == 2
        bad = ask(connection, "POST", path, "auth_key=app-key", BODY)
        assert bad.status == 401
        assert int(bad.headers["content-length"]) == len(bad.text.encode())
        assert bad.headers["content-type"] == "application/json"
        await listener.expect("n", "signed")
        assert connection.sock is socket, number
    connection.close()


async def test_a_body_in_chunks(server: Server, listener: Peer) -> None:
    """264."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY)
    chunks = [BODY[:1], BODY[1:10], BODY[10:]]
    assert caller.send("POST", caller.path(), pairs, chunks).status == 200
    await listener.expect("n", "signed")


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"X-Pusher-Library": "x"}])
async def test_headers_do_not_matter(
    server: Server, listener: Peer, headers: dict[str, Any]
) -> None:
    """185, 259."""
    caller = Caller(server)
    pairs = caller.sign("POST", caller.path(), BODY)
    assert caller.send("POST", caller.path(), pairs, BODY, headers).status == 200
    await listener.expect("n", "signed")


def test_no_secret_stands_in_the_log(server: Server) -> None:
    """254, over all that was refused above and before."""
    Caller(server, secret=quote("wrong")).post(BODY)
    log = server.log.read_text()
    assert "app-secret" not in log
    assert "second-secret" not in log
