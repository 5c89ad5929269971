"""What jobs and broadcasts show of themselves, in logs and in reports of errors."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from broadcasting import ShouldBroadcast
from broadcasting.broadcasts import Broadcast
from broadcasting.dispatching.outgoing import Outgoing
from broadcasting.dispatching.rendering import pack, render


class Trusted(ShouldBroadcast):
    shown: str
    token: str = field(default="", metadata={"broadcast": False})

    def broadcast_on(self) -> str:
        return "orders"

    def broadcast_failed(self, error: Exception) -> None:
        pass


def test_reprs_hold_no_payload(configure: Any) -> None:
    configure(QUEUE={"BACKEND": "tests.sending.kept.KeptQueue"})
    outgoing = Outgoing(event=Trusted("geheim", "geheimer"), options=Trusted._broadcasting)
    rendered, packed = render(outgoing), pack(outgoing)
    assert rendered is not None
    assert packed is not None
    assert rendered.broadcasts[0].event is not None
    assert isinstance(rendered.broadcasts[0], Broadcast)
    assert "geheim" not in f"{rendered}{packed}{rendered.broadcasts[0]}{packed.packed}{outgoing}"
