"""5.12, 5.13, 5.16: rates, keys that make a publish happen once, secrets, what is lenient."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.conformance.caller import Answer, Caller
from tests.conformance.peer import join
from tests.live import Server

RATED = ("rated", "rated-key", "rated-secret")
LOOSE = ("loose", "loose-key", "loose-secret")
ITEM = {"name": "n", "channel": "c", "data": "{}"}


def expect_limited(answer: Answer) -> None:
    assert (answer.status, answer.body["code"]) == (429, 429)
    assert int(answer.headers["retry-after"]) >= 1


async def test_more_events_than_an_application_may_publish(server: Server) -> None:
    """199, 220: a batch counts its events, and another application has its own rate."""
    caller = Caller(server, *RATED)
    async with join(server, "rated") as peer:
        await peer.subscribe("c")
        # One a second: ten at once are paid back for as many seconds.
        assert caller.post({"batch": [ITEM] * 10}, "batch_events").status == 200
        for _ in range(10):
            await peer.expect("n", "c")
        expect_limited(caller.trigger("c", "n", "{}"))
        expect_limited(caller.post({"batch": [ITEM]}, "batch_events"))
        expect_limited(caller.post({}, "users/7/terminate_connections"))
        await peer.silence()
    assert Caller(server).trigger("c", "n", "{}").status == 200


def test_more_reading_than_an_application_may_do(server: Server) -> None:
    """199."""
    caller = Caller(server, *RATED)
    resources = ("channels", "channels/c", "channels/presence-c/users", "connections")
    for resource in resources:
        answers = (caller.get(resource) for _ in range(1_000))
        expect_limited(next(answer for answer in answers if answer.status != 200))
    assert {Caller(server).get(resource).status for resource in resources} == {200}


def test_who_signs_badly_uses_nothing_up(server: Server) -> None:
    """199: otherwise anybody could silence an application."""
    caller = Caller(server, "rated", "rated-key", "wrong")
    assert {caller.get("channels").status for _ in range(5)} == {401}


@pytest.mark.parametrize("resource", ["events", "batch_events"])
async def test_a_key_makes_a_publish_happen_once(server: Server, resource: str) -> None:
    """242: and the answer is the same."""
    caller, key = Caller(server), str(uuid4())
    body = {"batch": [{**ITEM, "info": "subscription_count"}]}
    if resource == "events":
        body = {**ITEM, "info": "subscription_count"}  # type: ignore[dict-item]
    async with join(server) as peer:
        await peer.subscribe("c")
        ask: Any = {**body, "idempotency_key": key}
        first, second = caller.post(ask, resource), caller.post(ask, resource)
        assert (first.status, second.status) == (200, 200)
        assert first.body == second.body
        await peer.expect("n", "c")
        await peer.silence()
        assert caller.post({**body, "idempotency_key": f"{key}2"}, resource).status == 200
        await peer.expect("n", "c")


async def test_a_key_is_its_applications_own(server: Server) -> None:
    """242, 218: and one that came with a refused event is not used up."""
    key = str(uuid4())
    async with join(server) as ours, join(server, "digits") as theirs:
        await ours.subscribe("c")
        await theirs.subscribe("c")
        refused = {**ITEM, "name": "", "idempotency_key": key}
        assert Caller(server).post(refused).status == 400
        both = (Caller(server), Caller(server, "1001", "digits-key", "digits-secret"))
        answers = await asyncio.gather(
            *(asyncio.to_thread(one.post, {**ITEM, "idempotency_key": key}) for one in both)
        )
        assert [answer.status for answer in answers] == [200, 200]
        await ours.expect("n", "c")
        await theirs.expect("n", "c")


@pytest.mark.parametrize("key", ["", 7, "x" * 129, ["x"]])
def test_a_key_that_is_none(server: Server, key: object) -> None:
    assert Caller(server).post({**ITEM, "idempotency_key": key}).status == 400


async def test_two_secrets_verify(server: Server) -> None:
    """222, as far as it is of the HTTP API."""
    async with join(server, "loose") as peer:
        await peer.subscribe("c")
        for secret in ("loose-secret", "loose-secret-of-before"):
            answer = Caller(server, "loose", "loose-key", secret).trigger("c", "n", "{}")
            assert answer.status == 200
            await peer.expect("n", "c")
        stranger = Caller(server, "loose", "loose-key", "loose-secret-of-never")
        answer = stranger.trigger("c", "n", "{}")
        assert answer.status == 401
        assert "loose-secret" not in answer.text
        await peer.silence()
    assert "loose-secret" not in server.log.read_text()  # 254


@pytest.mark.parametrize("data", [{"é": [1, None]}, [], 7, 1.5, True, False])
async def test_structures_where_an_application_takes_them(server: Server, data: object) -> None:
    """182: encoded once."""
    async with join(server, "loose") as peer:
        await peer.subscribe("c")
        caller = Caller(server, *LOOSE)
        assert caller.trigger("c", "n", data).status == 200
        assert json.loads(await peer.expect("n", "c")) == data
        assert caller.trigger("c", "n", "as it is").status == 200
        assert await peer.expect("n", "c") == "as it is"
        assert caller.trigger("c", "n", None).status == 400
        assert caller.trigger("c", "n", ["x" * 10_240]).status == 413
        await peer.silence()
