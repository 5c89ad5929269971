"""What one node knows of its users, and what it takes from them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from django.test import override_settings

from broadcasting.backplanes import Envelope, control
from broadcasting.protocol.errors import (
    AccessRevoked,
    AuthorizeAnew,
    SubscriptionRefused,
    TooManyUsers,
)
from broadcasting.protocol.messages import Subscribe
from broadcasting.protocol.signing import authorization, channel_text
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server import access
from broadcasting.server.actions import handle
from broadcasting.server.connection import Connection
from broadcasting.server.node import Node, get_node
from tests.server.fakes import APPLICATION, FakeSocket, connection
from tests.server.test_signing_in import signin, visit
from tests.settings import BROADCASTING

CHANNEL = "private-orders.1"


def now() -> int:
    return time.time_ns() // 1_000_000


def ask(one: Connection, channel: str = CHANNEL, **known: Any) -> Subscribe:
    """Return a subscription as our auth view would have signed it; nothing known: for a guest."""
    data = json.dumps(known) if known else None
    text = channel_text(one.socket_id, channel, data)
    return Subscribe(channel=channel, auth=authorization(APPLICATION, text), channel_data=data)


async def arrive(node: Node, socket_id: str = "1.1") -> tuple[Connection, FakeSocket]:
    socket = FakeSocket()
    one = connection(socket, socket_id)
    await node.connect(one)
    return one, socket


def revoke(node: Node, user_id: str = "7", channel: str = CHANNEL, at: int | None = None) -> None:
    asked = control.Revoke(user_id=user_id, channel=channel, at=now() if at is None else at)
    node.receive(control.envelope("app", asked))


def terminate(node: Node, session: str | None = None, **more: Any) -> None:
    asked = control.Terminate(user_id="7", session=session, at=now(), **more)
    node.receive(control.envelope("app", asked))


def last(socket: FakeSocket) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.texts[-1])
    return message


def hears(node: Node, channel: str = CHANNEL) -> int:
    return node.hub.count(("app", channel))


async def test_a_revoked_user_is_taken_out_and_told():
    node = get_node()
    one, socket = await arrive(node)
    other, others = await arrive(node, "2.2")
    await handle(node, one, ask(one, user_id="7", at=now()))
    await handle(node, other, ask(other, user_id="8", at=now()))
    revoke(node)
    assert last(socket)["event"] == "pusher:subscription_error"
    assert last(socket)["channel"] == CHANNEL
    assert (last(socket)["data"]["type"], last(socket)["data"]["status"]) == ("AuthError", 403)
    assert CHANNEL not in one.protocol.subscriptions
    assert hears(node) == 1
    assert last(others)["event"] == "pusher_internal:subscription_succeeded"
    await node.disconnect(one)
    await node.disconnect(other)
    assert node.access._sockets == {}


@pytest.mark.parametrize("age", [0, 1])
async def test_an_answer_from_before_is_good_no_more(age: int):
    """Equally old counts as before."""
    node = get_node()
    one, _ = await arrive(node)
    at = now()
    revoke(node, at=at)
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=at - age))
    assert hears(node) == 0


async def test_a_new_answer_lets_the_user_in_again():
    node = get_node()
    one, socket = await arrive(node)
    await handle(node, one, ask(one, user_id="7", at=now()))
    at = now()
    revoke(node, at=at)
    await handle(node, one, ask(one, user_id="7", at=at + 1))
    assert last(socket)["event"] == "pusher_internal:subscription_succeeded"
    assert hears(node) == 1


async def test_other_channels_and_users_are_left_alone():
    node = get_node()
    one, _ = await arrive(node)
    at = now()
    revoke(node, at=at)
    await handle(node, one, ask(one, "private-orders.2", user_id="7", at=at))
    await handle(node, one, ask(one, user_id="8", at=at))


async def test_an_answer_without_a_time_needs_a_new_socket():
    node = get_node()
    one, _ = await arrive(node)
    await handle(node, one, ask(one, "private-orders.2", user_id="7", at=now()))
    revoke(node)
    for undated in (ask(one), ask(one, user_id="7")):
        with pytest.raises(AuthorizeAnew):
            await handle(node, one, undated)
    node.access.forget(one)
    newer, _ = await arrive(node, "2.2")
    await handle(node, newer, ask(newer, user_id="7"))
    assert hears(node) == 1


async def test_an_answer_that_is_too_old_is_not_taken():
    node = get_node()
    one, _ = await arrive(node)
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=now() - 3_600_001))


@pytest.mark.parametrize("known", [{"user_id": "8"}, {"at": now() + 9_999_999}, {"session": "x"}])
async def test_a_forged_user_is_refused(known: dict[str, Any]):
    node = get_node()
    one, _ = await arrive(node)
    good: dict[str, Any] = {"user_id": "7", "at": now()}
    message = ask(one, **good)
    forged = Subscribe(channel=CHANNEL, auth=message.auth, channel_data=json.dumps(good | known))
    stripped = Subscribe(channel=CHANNEL, auth=message.auth)
    for bad in (forged, stripped):
        with pytest.raises(SubscriptionRefused) as refusal:
            await handle(node, one, bad)
        assert refusal.value.code == 4009
    assert one.protocol.owners == ()


async def test_a_member_leaves_as_if_by_itself():
    node = get_node()
    room = "presence-chat.1"
    one, socket = await arrive(node)
    other, others = await arrive(node, "2.2")
    await handle(node, one, ask(one, room, user_id="7"))
    await handle(node, other, ask(other, room, user_id="8"))
    revoke(node, channel=room)
    assert last(socket)["event"] == "pusher:subscription_error"
    node.hub.flush()
    assert last(others)["event"] == "pusher_internal:member_removed"
    assert await node.registry.members("app", room) == {"8": None}


async def test_a_signed_in_socket_loses_a_channel_that_says_nobody():
    """Its answer was a plain one, of a program that does not know our channel_data."""
    node = get_node()
    one, socket = await arrive(node)
    await node.users.sign_in(one, signin("1.1", "7"))
    await handle(node, one, ask(one))
    revoke(node)
    assert last(socket)["event"] == "pusher:subscription_error"
    assert hears(node) == 0


async def test_what_is_revoked_while_a_subscription_is_under_way_is_revoked():
    class Slow(MemoryRegistry):
        waits = True

        async def join(self, *args: Any, **more: Any) -> Any:
            entered.set()
            await may.wait()
            return await super().join(*args, **more)

    entered, may = asyncio.Event(), asyncio.Event()
    node = get_node()
    node.registry = Slow({})
    one, socket = await arrive(node)
    joining = asyncio.create_task(handle(node, one, ask(one, user_id="7", at=now())))
    await entered.wait()
    revoke(node)
    may.set()
    with pytest.raises(AccessRevoked):
        await joining
    assert len(socket.texts) == 1  # the greeting
    assert hears(node) == 0
    assert (await node.registry.leave("app", CHANNEL, "1.1")).count == 0


async def test_what_was_sent_before_an_end_is_had_before_it():
    node = get_node()
    one, socket = await arrive(node)
    await handle(node, one, ask(one, CHANNEL, user_id="7"))
    node.receive(Envelope(app_id="app", channel=CHANNEL, frame="farewell"))
    terminate(node)
    assert socket.texts[-2] == "farewell"
    assert last(socket)["event"] == "pusher:error"
    assert one.closing


@pytest.mark.parametrize(("reconnect", "code"), [(False, 4009), (True, 4200)])
async def test_a_socket_that_never_signed_in_is_ended_too(reconnect: bool, code: int):
    node = get_node()
    one, socket = await arrive(node)
    member, members = await arrive(node, "2.2")
    other, others = await arrive(node, "3.3")
    await handle(node, one, ask(one, user_id="7", at=now()))
    await handle(node, member, ask(member, "presence-chat.1", user_id="7"))
    await handle(node, other, ask(other, user_id="8", at=now()))
    terminate(node, reconnect=reconnect)
    assert (socket.close_code, members.close_code, others.close_code) == (code, code, None)


async def test_an_old_answer_or_sign_in_does_not_outlive_a_disconnect():
    node = get_node()
    one, _ = await arrive(node)
    before = now()
    terminate(node)
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=before))
    with pytest.raises(AuthorizeAnew):
        await handle(node, one, signin("1.1", "7"))


async def test_a_session_ends_alone():
    node = get_node()
    sockets = []
    for number, session in enumerate(("mine", "hers")):
        one, socket = await arrive(node, f"{number}.1")
        await handle(node, one, ask(one, user_id="7", at=now(), session=session))
        sockets.append(socket)
    _, unknown = await visit(node, "5.5", "7")
    terminate(node, session="mine")
    # Nobody can tell which session the last one is of; it comes back if it may.
    assert [socket.close_code for socket in (*sockets, unknown)] == [4100, None, 4100]


async def test_a_session_that_ended_never_begins_again():
    """Whatever it was still allowed in the moment of its end."""
    node = get_node()
    terminate(node, session="mine")
    one, _ = await arrive(node)
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=now() + 1000, session="mine"))
    await handle(node, one, ask(one, user_id="7", at=now() + 1000, session="hers"))


async def test_revocations_are_forgotten_in_time():
    server = BROADCASTING.get("SERVER", {}) | {"REVOCATION_TTL": 0.000_001}
    with override_settings(BROADCASTING=BROADCASTING | {"SERVER": server}):
        node = get_node()
        one, _ = await arrive(node)
        revoke(node)
        await handle(node, one, ask(one, user_id="7"))
    assert hears(node) == 1


async def test_revocations_are_bounded_and_what_is_forgotten_is_counted(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(access, "REMEMBERED", 2)
    mine = access.Access(get_node())
    for user_id in ("1", "2", "3"):
        mine.revoke("app", control.Revoke(user_id=user_id, channel=CHANNEL, at=now()))
    assert mine.forgotten_early == 1


async def test_the_end_of_one_session_does_not_disturb_another_in_public_channels():
    node = get_node()
    one, socket = await arrive(node)
    await handle(node, one, ask(one, user_id="7", at=now(), session="hers"))
    terminate(node, session="mine")
    await handle(node, one, Subscribe(channel="news"))
    assert socket.close_code is None
    assert hears(node, "news") == 1


async def test_no_application_makes_a_node_forget_what_another_revoked(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(access, "REMEMBERED", 2)
    node = get_node()
    one, _ = await arrive(node)
    at = now()
    revoke(node, at=at)
    for user_id in ("1", "2", "3"):
        asked = control.Revoke(user_id=user_id, channel=CHANNEL, at=now())
        node.receive(control.envelope("second", asked))
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=at))
    assert node.access.forgotten_early == 1


async def test_what_is_revoked_while_a_member_asks_again_is_revoked():
    class Slow(MemoryRegistry):
        waits = True

        async def join(self, *args: Any, **more: Any) -> Any:
            entered.set()
            await may.wait()
            return await super().join(*args, **more)

    entered, may, room = asyncio.Event(), asyncio.Event(), "presence-chat.1"
    node = get_node()
    node.registry = Slow({})
    one, socket = await arrive(node)
    may.set()
    await handle(node, one, ask(one, room, user_id="7"))
    may.clear()
    entered.clear()
    again = asyncio.create_task(handle(node, one, ask(one, room, user_id="7")))
    await entered.wait()
    revoke(node, channel=room)
    may.set()
    with pytest.raises(AccessRevoked):
        await again
    assert last(socket)["event"] == "pusher:subscription_error"
    assert room not in one.protocol.subscriptions
    assert await node.registry.members("app", room) == {}
    await node.disconnect(one)


async def test_nobody_makes_a_node_forget_what_was_revoked_by_revoking_more(
    monkeypatch: pytest.MonkeyPatch,
):
    """Such as by logging in and out until the node's memory is full."""
    monkeypatch.setattr(access, "REMEMBERED", 2)
    node = get_node()
    one, _ = await arrive(node)
    at = now()
    revoke(node, at=at)
    for session in ("a", "b", "c"):
        terminate(node, session=session)
    assert node.access.forgotten_early
    with pytest.raises(AccessRevoked):
        await handle(node, one, ask(one, user_id="7", at=at))
    with pytest.raises(AuthorizeAnew):
        await handle(node, one, ask(one, user_id="7"))
    await handle(node, one, ask(one, user_id="7", at=now() + 1))
    newer, _ = await arrive(node, "2.2")
    await handle(node, newer, ask(newer, "presence-chat.1", user_id="7"))


async def test_a_socket_is_of_so_many_users_and_then_begins_anew(monkeypatch: pytest.MonkeyPatch):
    """Where a rule invents an id each time that a guest asks, for instance."""
    monkeypatch.setattr(access, "MAX_OWNERS", 3)
    node, room = get_node(), "presence-chat.1"
    one, _ = await arrive(node)
    for _ in range(2):
        for number in range(3):
            await handle(node, one, ask(one, room, user_id=f"guest-{number}"))
            await node.subscriptions.leave(one, room)
    with pytest.raises(TooManyUsers) as refusal:
        await handle(node, one, ask(one, room, user_id="guest-3"))
    assert refusal.value.close_code == 4200
    assert len(one.protocol.owners) == 3
    await node.disconnect(one)
    assert node.access._sockets == {}


async def test_a_clock_that_is_ahead_keeps_nobody_out_who_was_not_revoked(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(access, "REMEMBERED", 1)
    node = get_node()
    one, socket = await arrive(node)
    for user_id in ("8", "9"):
        revoke(node, user_id, at=now() + 999_999)
    await handle(node, one, ask(one, user_id="7", at=now() + 1))
    assert last(socket)["event"] == "pusher_internal:subscription_succeeded"
