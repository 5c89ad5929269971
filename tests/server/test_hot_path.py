"""The gate on the hot path: counted calls, never measured time."""

from __future__ import annotations

import json
import sys
from collections import Counter
from io import BytesIO
from types import FrameType
from typing import Any

import pytest

from broadcasting.backplanes import Envelope
from broadcasting.conf import ServerSettings
from broadcasting.protocol import messages
from broadcasting.server.frames import Frame
from broadcasting.server.node import Node
from tests.server.fakes import FakeLane, FakeSocket, connection

SOCKETS = 1_000


class Profile:
    """Which Python functions were called, and how often."""

    def __init__(self, *without: str) -> None:
        """``without``: how the names of modules begin whose functions are not counted."""
        self.calls: Counter[str] = Counter()
        self._without = without

    def __enter__(self) -> Profile:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *args: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and not frame.f_globals.get("__name__", "").startswith(self._without):
            self.calls[frame.f_code.co_qualname] += 1


async def test_a_fan_out_encodes_once_and_calls_little_for_each_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(ServerSettings())
    sockets = [FakeSocket() for _ in range(SOCKETS)]
    for number, socket in enumerate(sockets):
        node.hub.join(("app", "news"), connection(socket, f"1.{number}"))
    encoded: list[str] = []
    quoted = json.encoder.encode_basestring

    def counting(text: str) -> str:
        encoded.append(text)
        return quoted(text)

    frames = Counter[str]()

    class CountingFrame(Frame):
        __slots__ = ()

        def __init__(self, text: str) -> None:
            frames["built"] += 1
            super().__init__(text)

    monkeypatch.setattr("broadcasting.protocol.messages._quoted", counting)
    monkeypatch.delattr(json, "dumps")
    monkeypatch.delattr(messages, "write_json")
    monkeypatch.setattr("broadcasting.server.node.Frame", CountingFrame)
    with Profile() as profile:
        frame = messages.event("Shipped", "news", '{"id":1}')
        node.backplane.publish(Envelope(app_id="app", channel="news", frame=frame))
        node.hub.flush()

    assert all(socket.texts == [frame] for socket in sockets)
    assert sorted(encoded) == ["Shipped", "news", '{"id":1}']
    assert frames["built"] == 1
    # Connection.send, its step, and the server's own send: nothing else for each socket.
    per_socket = {name: n for name, n in profile.calls.items() if n >= SOCKETS}
    assert sum(per_socket.values()) <= 3 * SOCKETS, per_socket
    # One message object shared by all of them.
    assert len({id(socket.messages[0]) for socket in sockets}) == 1


async def test_on_the_lane_a_fan_out_calls_nothing_for_each_socket_but_its_write():
    node = Node(ServerSettings())
    kernel = BytesIO()
    for number in range(SOCKETS):
        lane = FakeLane()
        lane.send_now = kernel.write
        node.hub.join(("app", "news"), connection(FakeSocket(), f"1.{number}", lane=lane))
    with Profile() as profile:
        for text in ("one", "two"):
            node.backplane.publish(Envelope(app_id="app", channel="news", frame=text))
        node.hub.flush()
    # Both in one system call, and nothing of ours.
    assert max(profile.calls.values()) < 10
    wire = b"\x81\x03one\x81\x03two"
    assert kernel.getvalue() == SOCKETS * wire


async def test_an_envelope_that_nobody_here_listens_to_is_not_made_a_frame():
    node = Node(ServerSettings())
    node.hub.join(("app", "other"), connection(FakeSocket(), "1.1"))
    with Profile() as profile:
        node.receive(Envelope(app_id="app", channel="news", frame="{}"))
    assert "Node.receive" in profile.calls
    assert "Frame.__init__" not in profile.calls


async def test_the_cost_for_each_envelope_does_not_grow_with_other_channels():
    node = Node(ServerSettings())
    for number in range(SOCKETS):
        node.hub.join(("app", f"other.{number}"), connection(FakeSocket(), f"1.{number}"))
    node.hub.join(("app", "news"), connection(FakeSocket(), "2.1"))
    with Profile() as profile:
        node.receive(Envelope(app_id="app", channel="news", frame="{}"))
    assert sum(profile.calls.values()) < 20
