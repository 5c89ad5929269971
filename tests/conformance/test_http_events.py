"""5.13, as far as it is served: what may be published, and what is refused whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.caller import Caller
from tests.conformance.peer import join
from tests.live import Server

LIMIT = 10_240


async def test_one_channel_or_many(server: Server) -> None:
    """177, 178, 179: each once, however often it is named."""
    caller = Caller(server)
    async with join(server) as peer:
        await peer.subscribe("c-0")
        for channels in ("c-0", ["c-0"], [f"c-{n}" for n in range(100)], ["c-0", "c-0"]):
            answer = caller.trigger(channels, "n", "{}")
            assert (answer.status, answer.body) == (200, {})
            await peer.expect("n", "c-0")
            await peer.silence()


async def test_the_sender_is_spared(server: Server) -> None:
    """180."""
    caller = Caller(server)
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe("c")
        await bob.subscribe("c")
        assert caller.trigger("c", "n", "{}", socket_id=ada.socket_id).status == 200
        await bob.expect("n", "c")
        await ada.silence()
        for socket_id in ("1.2", None):
            assert caller.trigger("c", "n", "{}", socket_id=socket_id).status == 200
            await ada.expect("n", "c")
            await bob.expect("n", "c")


GOOD = {"name": "n", "channel": "refused", "data": "{}"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": None}, 400),
        ({"name": ""}, 400),
        ({"name": 7}, 400),
        ({"name": "x" * 201}, 400),
        ({"name": "pusher:x"}, 400),
        ({"name": "pusher_internal:member_added"}, 400),
        ({"data": None}, 400),
        ({"data": {}}, 400),
        ({"data": 7}, 400),
        ({"data": "x" * (LIMIT + 1)}, 413),
        ({"data": "é" * (LIMIT // 2) + "x"}, 413),
        ({"channel": None}, 400),
        ({"channel": ""}, 400),
        ({"channel": 7}, 400),
        ({"channel": "a b"}, 400),
        ({"channel": "é"}, 400),
        ({"channel": "x" * 201}, 400),
        ({"channels": []}, 400),
        ({"channels": "refused"}, 400),
        ({"channels": {"refused": 1}}, 400),
        ({"channels": ["refused", "a b"]}, 400),
        ({"channels": ["refused", None]}, 400),
        ({"channels": ["refused", *(f"c-{n}" for n in range(100))]}, 400),
        ({"socket_id": "1"}, 400),
        ({"socket_id": "1:2"}, 400),
        ({"socket_id": 1.2}, 400),
        ({"socket_id": ""}, 400),
        ({"socket_id": "1.2\n"}, 400),
    ],
)
async def test_a_bad_event_is_refused(server: Server, changes: dict[str, Any], status: int) -> None:
    """179-184, 188: alone, and with all of its batch."""
    caller = Caller(server)
    body = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    async with join(server) as peer:
        await peer.subscribe("refused")
        answer = caller.post(body)
        assert (answer.status, answer.body["code"]) == (status, status)
        if "channels" not in changes:
            batch = {"batch": [GOOD, body, GOOD]}
            assert caller.post(batch, "batch_events").status == status
        await peer.silence()


@pytest.mark.parametrize("resource", ["events", "batch_events"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b"{}", b"[" * 100_000]
)
def test_a_body_that_is_no_event(server: Server, body: bytes, resource: str) -> None:
    """182, 185."""
    assert Caller(server).post(body, resource).status == 400


@pytest.mark.parametrize("data", ["x" * LIMIT, "é" * (LIMIT // 2), "\x00" * LIMIT])
async def test_the_largest_event_passes(server: Server, data: str) -> None:
    """183."""
    async with join(server) as peer:
        await peer.subscribe("c")
        assert Caller(server).trigger("c", "n" * 200, data).status == 200
        message = json.loads(await peer.socket.recv())
        assert message == {"event": "n" * 200, "data": data, "channel": "c"}


async def test_a_batch_arrives_in_its_order(server: Server) -> None:
    """186."""
    batch = [{"name": str(n), "channel": f"c-{n % 2}", "data": str(n)} for n in range(10)]
    async with join(server) as peer:
        await peer.subscribe("c-0")
        await peer.subscribe("c-1")
        answer = Caller(server).post({"batch": batch}, "batch_events")
        assert (answer.status, answer.body) == (200, {})
        assert [(await peer.receive())["data"] for _ in batch] == [str(n) for n in range(10)]


async def test_a_batch_spares_each_sender(server: Server) -> None:
    """186, 180."""
    async with join(server) as ada, join(server) as bob:
        await ada.subscribe("c")
        await bob.subscribe("c")
        batch = [
            {"name": peer.socket_id, "channel": "c", "data": "", "socket_id": peer.socket_id}
            for peer in (ada, bob)
        ]
        assert Caller(server).post({"batch": batch}, "batch_events").status == 200
        await ada.expect(bob.socket_id, "c")
        await bob.expect(ada.socket_id, "c")
        await ada.silence()
        await bob.silence()


@pytest.mark.parametrize("batch", [[GOOD] * 11, [], {}, "x", None, [None], [[]], [7]])
def test_a_batch_that_is_none(server: Server, batch: Any) -> None:
    """186, 188."""
    assert Caller(server).post({"batch": batch}, "batch_events").status == 400


@pytest.mark.parametrize("resource", ["events", "batch_events"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods(server: Server, method: str, resource: str) -> None:
    caller = Caller(server)
    path = caller.path(resource)
    answer = caller.send(method, path, caller.sign(method, path))
    assert (answer.status, answer.body["code"]) == (405, 405)


def test_what_is_not_ours_goes_on_to_the_site(server: Server) -> None:
    assert Caller(server).send("GET", "/").text == "ready"
    assert Caller(server).send("GET", "/apps/app/nothing").status == 404


def test_a_body_beyond_all_measure(server: Server) -> None:
    """183: refused before it is all read."""
    answer = Caller(server).post(b" " * 2_000_000)
    assert answer.status == 413
