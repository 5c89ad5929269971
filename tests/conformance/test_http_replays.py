"""Requests that somebody overheard and sends again, byte by byte."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.caller import Answer, Caller
from tests.conformance.peer import join
from tests.live import Server

ONCE = ("once", "once-key", "once-secret")


class Overheard:
    """One signed request, as often as one likes."""

    def __init__(self, caller: Caller, content: Any, resource: str = "events") -> None:
        self.caller = caller
        self.body = json.dumps(content).encode()
        self.path = caller.path(resource)
        self.query = caller.sign("POST", self.path, self.body)

    def send(self) -> Answer:
        return self.caller.send("POST", self.path, self.query, self.body)

    def send_in_other_order(self) -> Answer:
        return self.caller.send("POST", self.path, [*reversed(self.query)], self.body)


def event(channel: str = "c", **more: Any) -> dict[str, Any]:
    # Another text each time, since equal requests of one second have one signature.
    return {"name": "n", "channel": channel, "data": str(uuid4()), **more}


async def test_a_signature_counts_once_where_the_application_wants_it(server: Server) -> None:
    """However the same request is written."""
    async with join(server, "once") as peer:
        await peer.subscribe("c")
        overheard = Overheard(Caller(server, *ONCE), event())
        assert overheard.send().status == 200
        await peer.expect("n", "c")
        for answer in (overheard.send(), overheard.send_in_other_order()):
            assert (answer.status, answer.body["code"]) == (409, 409)
        await peer.silence()
        assert Overheard(Caller(server, *ONCE), event()).send().status == 200
        await peer.expect("n", "c")


async def test_pusher_takes_it_as_often_as_it_comes(server: Server) -> None:
    """So do we, unless told otherwise."""
    async with join(server) as peer:
        await peer.subscribe("c")
        overheard = Overheard(Caller(server), event())
        for _ in range(2):
            assert overheard.send().status == 200
            await peer.expect("n", "c")


async def test_a_publisher_with_a_key_may_repeat_itself(server: Server) -> None:
    async with join(server, "once") as peer:
        await peer.subscribe("c")
        asked = event(idempotency_key=str(uuid4()), info="subscription_count")
        again = Overheard(Caller(server, *ONCE), asked)
        first, second = again.send(), again.send()
        assert (first.status, second.status) == (200, 200)
        assert first.body == second.body
        await peer.expect("n", "c")
        await peer.silence()


def test_what_was_refused_may_come_again(server: Server) -> None:
    overheard = Overheard(Caller(server, *ONCE), event(channel="no such: channel"))
    assert [overheard.send().status for _ in range(2)] == [400, 400]


def test_sending_a_user_away_is_no_exception(server: Server) -> None:
    overheard = Overheard(Caller(server, *ONCE), {}, f"users/{uuid4()}/terminate_connections")
    assert [overheard.send().status for _ in range(2)] == [200, 409]


def test_asking_twice_harms_nobody(server: Server) -> None:
    caller = Caller(server, *ONCE)
    path = caller.path("channels")
    query = caller.sign("GET", path)
    assert [caller.send("GET", path, query).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("key", [None, ""])
def test_a_key_that_is_none_excuses_nobody(server: Server, key: str | None) -> None:
    """Libraries write the fields that they do not use, too."""
    overheard = Overheard(Caller(server, *ONCE), event(idempotency_key=key))
    first, second = overheard.send(), overheard.send()
    assert (first.status, second.status) == ((200, 409) if key is None else (400, 400))


def test_a_key_is_of_no_use_where_nothing_looks_at_it(server: Server) -> None:
    body = {"idempotency_key": str(uuid4())}
    overheard = Overheard(Caller(server, *ONCE), body, f"users/{uuid4()}/terminate_connections")
    assert [overheard.send().status for _ in range(2)] == [200, 409]
