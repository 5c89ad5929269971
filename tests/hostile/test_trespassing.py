"""Who wants into another's channel or application: by name, by signature, by path."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.conformance.caller import Caller, md5_of
from tests.conformance.peer import join
from tests.conformance.publishing import look_up
from tests.live import Server

BODY = json.dumps({"name": "n", "channel": "private-x", "data": "{}"}).encode()

NAMES = [
    "loose:private-x",
    "loose#private-x",
    "loose/private-x",
    "loose|private-x",
    "loose private-x",
    "loose\nprivate-x",
    "loose\0private-x",
    "private-x\n",
    "../loose/private-x",
    "private-x:*",
    "private-*",
    "private-x{loose}",
    "private-x%00",
    "\uff50rivate-x",
    "private-x\u200b",
    "#server-to-user-1",
    "#control",
    'private-x:{"user_id":"1"}',
    "x" * 201,
    "",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_is_none_is_nobodys_channel(target: Server, name: str) -> None:
    async with join(target, "loose") as owner, join(target, "rotated") as thief:
        await owner.subscribe("private-x")
        await thief.ask(name, auth=thief.sign(name))
        assert (await thief.receive())["event"] == "pusher:error"
        await thief.send("client-x", {"stolen": True}, channel=name)
        refused = await thief.receive()
        while refused["event"] == "pusher:subscription_error":
            refused = await thief.receive()
        assert refused["event"] == "pusher:error"
        answer = await asyncio.to_thread(own(target, "rotated").trigger, name, "n", "{}")
        # A user's own channel is a name for those who publish, of their application.
        assert answer.status == (200 if name.startswith("#server-to-user-") else 400)
        await owner.silence()
        await thief.silence()
    assert (await look_up(target, "channels", "loose"))["channels"] == {}


FORGERIES = {
    "signed for another application's path": ("rotated", "loose", "/apps/rotated/events"),
    "signed for another resource": ("loose", "loose", "/apps/loose/batch_events"),
    "signed without a path": ("loose", "loose", ""),
    "signed by another application": ("rotated", "loose", "/apps/loose/events"),
}


@pytest.mark.parametrize("what", FORGERIES)
@pytest.mark.parametrize("key", ["own", "theirs"])
async def test_a_request_signed_for_something_else(target: Server, what: str, key: str) -> None:
    signer, victim, path = FORGERIES[what]
    async with join(target, victim) as owner:
        await owner.subscribe("private-x")
        forger = own(target, signer)
        changes = {"auth_key": f"{victim if key == 'theirs' else signer}-key"}
        pairs = forger.sign("POST", path, BODY, changes=changes)
        answer = await asyncio.to_thread(forger.send, "POST", f"/apps/{victim}/events", pairs, BODY)
        assert answer.status == 401
        assert "secret" not in answer.text
        await owner.silence()


async def test_a_request_signed_for_another_method(target: Server) -> None:
    async with join(target, "loose") as owner:
        await owner.subscribe("private-x")
        forger = own(target, "loose")
        pairs = forger.sign("GET", forger.path(), BODY)
        answer = await asyncio.to_thread(forger.send, "POST", forger.path(), pairs, BODY)
        assert answer.status == 401
        await owner.silence()


async def test_a_body_that_was_not_signed(target: Server) -> None:
    async with join(target, "loose") as owner:
        await owner.subscribe("private-x")
        forger = own(target, "loose")
        pairs = forger.sign("POST", forger.path(), b"{}")
        for body in (BODY, b"{} ", b""):
            answer = await asyncio.to_thread(forger.send, "POST", forger.path(), pairs, body)
            assert answer.status == 401
        doubled = [*forger.sign("POST", forger.path(), b"{}"), ("body_md5", md5_of(BODY))]
        answer = await asyncio.to_thread(forger.send, "POST", forger.path(), doubled, BODY)
        assert answer.status == 400
        await owner.silence()


@pytest.mark.parametrize(
    "form", ["{}.5", "+{}", " {}", "{}e0", "0x{:x}", "{:_}", "-{}", "{}\n", "{}000", "\uff11{}"]
)
async def test_a_timestamp_in_another_form(target: Server, form: str) -> None:
    changes: dict[str, str | None] = {"auth_timestamp": form.format(int(time.time()))}
    answer = await asyncio.to_thread(own(target, "loose").post, BODY, changes=changes)
    assert answer.status == 401


@pytest.mark.parametrize("size", [11, 1_000, 30_000])
async def test_a_batch_that_is_too_large_is_refused_whole(target: Server, size: int) -> None:
    item = {"name": "n", "channel": "batched", "data": "{}"}
    async with join(target) as listener:
        await listener.subscribe("batched")
        content = {"batch": [item] * size}
        answer = await asyncio.to_thread(Caller(target).post, content, "batch_events")
        assert answer.status in (400, 413)
        await listener.silence()


async def test_more_channels_at_once_than_there_may_be(target: Server) -> None:
    names = [f"n{number}" for number in range(20_000)]
    answer = await asyncio.to_thread(Caller(target).trigger, names, "n", "{}")
    assert answer.status in (400, 413)


def own(server: Server, app: str) -> Caller:
    """Return a caller with an application's own credentials."""
    return Caller(server, app, f"{app}-key", f"{app}-secret")
