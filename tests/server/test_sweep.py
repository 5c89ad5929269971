"""What an application becomes while its sockets are open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import ClassVar

import pytest
from django.conf import settings
from django.test import override_settings

from broadcasting.applications import Application, BaseApplications
from broadcasting.protocol.errors import HandshakeRefused
from broadcasting.server.connection import Connection
from broadcasting.server.node import get_node
from broadcasting.testing.client import PusherClient, SocketClosed

KNOWN = Application(id="app", key="app-key", secret="app-secret", enable_client_events=True)


class Changing(BaseApplications):
    """A source whose answer tests replace."""

    answer: ClassVar[Callable[[], Sequence[Application]]] = staticmethod(lambda: [KNOWN])

    def all(self) -> Sequence[Application]:
        return type(self).answer()


@pytest.fixture(autouse=True)
def changing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Changing, "answer", staticmethod(lambda: [KNOWN]))
    source = {
        "APPLICATIONS": f"{__name__}.Changing",
        "SERVER": {"ACTIVITY_TIMEOUT": 60, "PONG_TIMEOUT": 0.02},
    }
    with override_settings(BROADCASTING={**settings.BROADCASTING, **source}):
        yield


def become(monkeypatch: pytest.MonkeyPatch, *applications: Application) -> None:
    monkeypatch.setattr(Changing, "answer", staticmethod(lambda: applications))


@pytest.mark.parametrize(("then", "code"), [((replace(KNOWN, enabled=False),), 4003), ((), 4001)])
async def test_an_application_that_ends_ends_its_sockets(
    monkeypatch: pytest.MonkeyPatch, then: tuple[Application, ...], code: int
):
    """221."""
    async with PusherClient() as client:
        become(monkeypatch, *then)
        assert (await client.areceive()).event == "pusher:error"
        with pytest.raises(SocketClosed) as closed:
            await client.areceive()
        assert closed.value.code == code


async def test_open_sockets_go_by_what_changed(monkeypatch: pytest.MonkeyPatch):
    """221: a new secret signs for sockets that were open before."""
    async with PusherClient() as client:
        node = get_node()
        (connection,) = node.connections.values()
        become(monkeypatch, replace(KNOWN, secret="another", previous_secret="app-secret"))
        async with asyncio.timeout(5):
            while connection.protocol.application.secret != "another":
                await asyncio.sleep(0.005)  # the sweep tells nobody
        assert not connection.closing
        await client.asubscribe("ticker")


async def test_a_source_that_fails_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken() -> Sequence[Application]:
        raise ZeroDivisionError

    async with PusherClient() as client:
        monkeypatch.setattr(Changing, "answer", staticmethod(broken))
        async with asyncio.timeout(5):
            while "ZeroDivisionError" not in caplog.text:
                await asyncio.sleep(0.005)
        await client.asubscribe("ticker")


async def test_a_connection_must_say_in_time_whose_it_is(monkeypatch: pytest.MonkeyPatch):
    """156."""
    hasty = replace(KNOWN, enable_user_authentication=True, user_authentication_timeout=0.05)
    become(monkeypatch, hasty)
    async with PusherClient() as guest, PusherClient() as member:
        await member.asubscribe("private-c", auth=member_auth(member))
        assert (await guest.areceive()).event == "pusher:error"
        with pytest.raises(SocketClosed) as closed:
            await guest.areceive()
        assert closed.value.code == 4009
        assert get_node().counters.unauthorized_closed == 1
        await member.asubscribe("ticker")


async def test_a_demand_that_is_given_up_ends_nobody(monkeypatch: pytest.MonkeyPatch):
    """156, as the application says now."""
    hasty = replace(KNOWN, enable_user_authentication=True, user_authentication_timeout=0.2)
    become(monkeypatch, hasty)
    async with PusherClient() as guest:
        (connection,) = get_node().connections.values()
        become(monkeypatch, KNOWN)
        async with asyncio.timeout(5):
            while connection.protocol.application != KNOWN:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.3)  # the time that it would have had
        await guest.asubscribe("ticker")


async def test_a_demand_that_is_new_counts_for_open_sockets_too(monkeypatch: pytest.MonkeyPatch):
    """156, as the application says now."""
    async with PusherClient() as guest:
        hasty = replace(KNOWN, enable_user_authentication=True, user_authentication_timeout=0.01)
        become(monkeypatch, hasty)
        assert (await guest.areceive()).event == "pusher:error"
        with pytest.raises(SocketClosed) as closed:
            await guest.areceive()
        assert closed.value.code == 4009


def member_auth(client: PusherClient) -> str:
    from broadcasting.protocol.signing import authorization, channel_text

    return authorization(KNOWN, channel_text(client.socket_id, "private-c"))


async def test_many_are_looked_at_in_slices_and_nobody_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("broadcasting.server.sweep.LOOKS_A_TURN", 2)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(PusherClient()) for _ in range(5)]
        turns = []
        refuse = Connection.refuse

        def refused(connection: Connection, problem: HandshakeRefused) -> None:
            turns.append(passed[0])
            refuse(connection, problem)

        passed = [0]

        def pass_on() -> None:
            passed[0] += 1
            ticking[0] = loop.call_soon(pass_on)

        loop = asyncio.get_running_loop()
        ticking = [loop.call_soon(pass_on)]
        monkeypatch.setattr(Connection, "refuse", refused)
        become(monkeypatch, replace(KNOWN, enabled=False))
        for client in clients:
            assert (await client.areceive()).event == "pusher:error"
        ticking[0].cancel()
    assert [turn - turns[0] for turn in turns] == [0, 0, 1, 1, 2]
