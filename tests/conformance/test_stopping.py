"""What a stopping server says to its sockets (design: a code from which pusher-js returns)."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.conformance.peer import CUT, Peer, dial, join
from tests.live import Server


@pytest.mark.parametrize(
    ("own_server", "sig"),
    [
        ("uvicorn", signal.SIGTERM),
        ("uvicorn", signal.SIGINT),
        ("uvicorn-slow-lane", signal.SIGTERM),
        ("daphne", signal.SIGTERM),
        ("daphne", signal.SIGINT),
    ],
    indirect=["own_server"],
)
async def test_sockets_are_told_to_return(own_server: Server, sig: signal.Signals) -> None:
    """238: all of them, at once, and the process ends well."""
    async with join(own_server) as ada, join(own_server) as bob:
        await ada.enter("presence-c", "1")
        expect = expect_recall if own_server.kind == "uvicorn" else expect_cut
        stopping = asyncio.to_thread(own_server.stop, sig)
        code, *_ = await asyncio.gather(stopping, expect(ada), expect(bob))
    # How Daphne ends is its own affair: on Python 3.11.7 with any socket open, in a crash.
    assert code == 0
    assert "Traceback" not in own_server.log.read_text()
    with pytest.raises(ConnectionRefusedError):
        async with dial(own_server):
            pass


async def expect_recall(peer: Peer) -> None:
    problem = await peer.expect_refusal(None, 4200)
    assert await peer.closed() == (4200, problem["message"])


async def expect_cut(peer: Peer) -> None:
    """Daphne's reactor ends before anybody is asked: pusher-js is back after a second."""
    assert await peer.closed() == (CUT, "")
