"""A channel taken from a user over the HTTP API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conformance.caller import Answer, Caller
from tests.conformance.peer import join
from tests.live import Server


def revoke(caller: Caller, user_id: str, body: Any) -> Answer:
    sent = json.dumps(body).encode()
    path = caller.path(f"users/{user_id}/revoke")
    return caller.send("POST", path, caller.sign("POST", path, sent), sent)


async def test_a_user_is_taken_out_of_a_channel(server: Server) -> None:
    room = "presence-revoked"
    async with join(server) as one, join(server) as other:
        await one.enter(room, "7")
        await other.enter(room, "8")
        await one.expect("pusher_internal:member_added", room)
        answer = await asyncio.to_thread(revoke, Caller(server), "7", {"channel": room})
        assert (answer.status, answer.text) == (200, "{}")
        told = await one.expect("pusher:subscription_error", room)
        assert (told["type"], told["status"]) == ("AuthError", 403)
        gone = await other.expect("pusher_internal:member_removed", room)
        assert json.loads(gone) == {"user_id": "7"}
        # Nothing says that this answer is a new one.
        await one.ask_signed(room, json.dumps({"user_id": "7"}))
        await one.expect_refusal(None, 4200)
        await other.silence()


@pytest.mark.parametrize(
    "body", [{}, [], {"channel": 1}, {"channel": "news"}, {"channel": "private-a b"}]
)
def test_a_channel_without_a_guard_is_refused(server: Server, body: Any) -> None:
    assert revoke(Caller(server), "7", body).status == 400


def test_a_user_that_nobody_can_be_is_refused(server: Server) -> None:
    assert revoke(Caller(server), "x" * 129, {"channel": "private-a"}).status == 400
