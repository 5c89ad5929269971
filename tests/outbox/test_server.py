"""A relay in the server process: what another process committed reaches sockets of this one."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests import live
from tests.conformance import peer

pytestmark = pytest.mark.full


async def test_a_relay_beside_sockets(tmp_path: Path) -> None:
    """The backplane is local, and the publisher holds no socket."""
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.outbox.live_settings",
        "BROADCASTING_TEST_DATABASE": str(tmp_path / "live.sqlite3"),
        "OUTBOX_OPTIONS": json.dumps({"relay": True, "poll": 0.05}),
    }
    migrated = await asyncio.to_thread(
        live.run, env, "-m", "django", "migrate", "--run-syncdb", "-v0"
    )
    assert migrated.returncode == 0, migrated.stderr
    server = live.Server("uvicorn", live.free_port(), env)
    await asyncio.to_thread(server.start)
    try:
        async with peer.join(server) as visitor:
            await visitor.subscribe("news")
            command = ("-m", "tests.outbox.program", "0", "5", "news", "dies")
            publisher = live.spawn([sys.executable, *command], env, tmp_path / "log")
            for number in range(5):
                said = await visitor.expect("Said", "news")
                assert json.loads(said) == {"number": number}
            await asyncio.to_thread(publisher.wait, live.PATIENCE)
            await visitor.silence()
    finally:
        assert await asyncio.to_thread(server.stop) == 0
        server.log.unlink(missing_ok=True)
