"""Users on one node: their sockets, their watchers, and what is left when they go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from broadcasting.backplanes import Envelope, control
from broadcasting.protocol.messages import Signin
from broadcasting.protocol.signing import authorization, user_text
from broadcasting.registry.memory import MemoryRegistry
from broadcasting.server.connection import Connection
from broadcasting.server.node import Node, get_node
from tests.server.fakes import APPLICATION, FakeSocket, connection


def signin(socket_id: str, user_id: str, **more: Any) -> Signin:
    data = json.dumps({"id": user_id, **more})
    return Signin(auth=authorization(APPLICATION, user_text(socket_id, data)), user_data=data)


async def visit(node: Node, socket_id: str, user_id: str) -> tuple[Connection, FakeSocket]:
    """Return a socket that has signed in."""
    socket = FakeSocket()
    one = connection(socket, socket_id)
    await node.connect(one)
    await node.users.sign_in(one, signin(socket_id, user_id))
    return one, socket


async def test_a_user_that_signed_out_leaves_nothing_behind():
    """159."""
    node = get_node()
    one, _ = await visit(node, "1.1", "ada")
    two, _ = await visit(node, "2.2", "ada")
    await node.disconnect(one)
    assert await node.registry.online("app", ["ada"]) == {"ada"}
    await node.disconnect(two)
    assert await node.registry.online("app", ["ada"]) == set()
    assert node.access._sockets == {}
    assert node.hub.count(("app", "#server-to-user-ada")) == 0


@pytest.mark.parametrize(("reconnect", "code"), [(False, 4009), (True, 4200)])
async def test_every_socket_of_a_user_is_ended_on_request(reconnect: bool, code: int):
    """157, 158."""
    node = get_node()
    before = node.counters.terminated
    one, socket = await visit(node, "1.1", "ada")
    other, others = await visit(node, "2.2", "bob")
    node.receive(control.envelope("app", control.Terminate(user_id="ada", reconnect=reconnect)))
    node.receive(control.envelope("second", control.Terminate(user_id="bob")))
    assert socket.close_code == code
    assert others.close_code is None
    assert node.counters.terminated == before + 1
    await node.disconnect(one)
    await node.disconnect(other)


async def test_a_control_envelope_of_another_version_is_ignored(caplog: pytest.LogCaptureFixture):
    node = get_node()
    before = node.counters.unreadable
    known = control.envelope("app", control.Terminate(user_id="ada"))
    for frame in ("", "[]", '{"do":"dance"}', known.frame.replace("user_id", "uid")):
        node.receive(Envelope(app_id="app", channel="#control", frame=frame, kind="control"))
    assert node.counters.unreadable == before + 4
    assert "Ignored a control envelope" in caplog.text


async def test_a_watcher_is_not_told_what_is_no_longer_true():
    """152: somebody comes online while a registry takes its time."""
    looked = asyncio.Event()

    class Slow(MemoryRegistry):
        async def online(self, app_id: str, user_ids: Iterable[str]) -> frozenset[str]:
            found = await super().online(app_id, user_ids)
            looked.set()
            await asyncio.sleep(0.001)
            return found

    node = get_node()
    node.registry = Slow({})
    watching = connection(FakeSocket(), "1.1")
    watching.protocol.adopt(replace(APPLICATION, enable_watchlist_events=True), 0.0)
    socket = FakeSocket()
    watching._asgi_send = socket.send
    await node.connect(watching)
    watcher = asyncio.create_task(
        node.users.sign_in(watching, signin("1.1", "ada", watchlist=["bob"]))
    )
    await looked.wait()
    watched = connection(FakeSocket(), "2.2")
    watched.protocol.adopt(watching.protocol.application, 0.0)
    await node.connect(watched)
    await node.users.sign_in(watched, signin("2.2", "bob"))
    await watcher
    last = json.loads(socket.texts[-1])
    assert json.loads(last["data"]) == {"events": [{"name": "online", "user_ids": ["bob"]}]}
    await node.disconnect(watching)
    await node.disconnect(watched)
