"""A thousand peers that stop reading: nobody waits for them, and they cost what one costs."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import live
from tests.conformance.caller import Caller
from tests.conformance.peer import join
from tests.conformance.publishing import publish
from tests.server.test_slow_readers import FRAME, HANDSHAKE

CROWD = 1_000
EVENT = "x" * 10_000
EVENTS = 300
"""Three times what may wait for one."""

SPARE_MB = 100
"""How much the server may grow by. A copy of what waits for each would be ten times that."""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.full,
]


@contextmanager
def stalled(port: int) -> Iterator[socket.socket]:
    """A subscriber that reads its answers and then nothing more, and whose kernel takes little."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_304)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        peer.settimeout(live.PATIENCE)
        peer.connect(("127.0.0.1", port))
        peer.sendall(HANDSHAKE + FRAME)
        answer = b""
        while b"subscription_succeeded" not in answer:
            answer += peer.recv(4_096)
        yield peer


def resident_mb(server: live.Server) -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("policy", ["close", "drop"])
async def test_a_crowd_that_reads_nothing_is_in_nobodys_way(live_database: Path, policy: str):
    """240."""
    env = {
        "BROADCASTING_TEST_DATABASE": str(live_database),
        "LIVE_SLOW_POLICY": policy,
        "LIVE_PONG_TIMEOUT": "1",
    }
    with live.serving("uvicorn", env) as server, ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(stalled(server.port))
        async with join(server) as reader:
            await reader.subscribe("flood")
            before = resident_mb(server)
            for number in range(EVENTS):
                await publish(server, "flood", f"E{number}", EVENT)
                await reader.expect(f"E{number}", "flood")
            assert resident_mb(server) - before < SPARE_MB
            left = CROWD + 1 if policy == "drop" else 1
            async with asyncio.timeout(live.PATIENCE):
                while Caller(server).get("connections").body["connections"] != left:
                    await asyncio.sleep(0.1)  # those who read nothing cannot tell
