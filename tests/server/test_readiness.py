"""What probes are told at /up and /ready, and how late a loop is."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from broadcasting.asgi import get_application
from broadcasting.backplanes.base import Subscription
from broadcasting.server.lag import LoopLag
from broadcasting.server.node import Node, get_node


async def get(path: str, method: str = "GET") -> tuple[int, Any]:
    """Return what the application answers: the status, and its JSON."""
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
    asked = ApplicationCommunicator(
        get_application(), {**scope, "query_string": b"", "headers": []}
    )
    await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    status = (await asked.receive_output())["status"]
    return status, json.loads((await asked.receive_output())["body"])


class Deaf(Subscription):
    """A backplane that hears nothing."""

    gaps = 3

    @property
    def problem(self) -> str | None:
        return "redis://user:secret@host is away"

    async def join(self, app_id: str, channel: str) -> None:
        """Never."""

    async def leave(self, app_id: str, channel: str) -> None:
        """See join()."""

    async def close(self) -> None:
        """See join()."""


async def test_a_process_that_lives_is_up_whatever_ails_it():
    get_node().draining = True
    assert await get("/up") == (200, {"up": True})


async def test_a_node_that_is_well_is_ready():
    status, said = await get("/ready")
    assert status == 200
    assert said.pop("loop_lag") >= 0
    backplane = {"connected": True, "gaps": 0}
    assert said == {"ready": True, "problems": [], "backplane": backplane}


def break_backplane(node: Node) -> None:
    node.interests.subscription = Deaf()


def break_registry(node: Node) -> None:
    node.lease.problem = "redis://user:secret@host is away"


def leave(node: Node) -> None:
    node.leaving = True


def block(node: Node) -> None:
    time.sleep(2 * node.settings.max_loop_lag)


@pytest.mark.parametrize(
    ("ail", "name"),
    [
        (break_backplane, "backplane"),
        (break_registry, "registry"),
        (leave, "draining"),
        pytest.param(block, "loop_lag", marks=pytest.mark.full),
    ],
)
async def test_whatever_ails_a_node_is_named_and_no_secret_told(ail: Any, name: str):
    node = get_node()
    ail(node)
    status, said = await get("/ready")
    assert (status, said["ready"], said["problems"]) == (503, False, [name])
    assert "secret" not in json.dumps(said)
    assert said["backplane"]["gaps"] == (3 if name == "backplane" else 0)


class Slow(Deaf):
    """A backplane that has lost nothing, and is not heard before it is let."""

    problem = None

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def join(self, app_id: str, channel: str) -> None:
        await self.let.wait()


async def test_who_is_not_heard_yet_is_not_ready():
    node = get_node()
    carrier = node.interests.subscription = Slow()
    node.orders.hear_all()
    status, said = await get("/ready")
    assert (status, said["problems"]) == (503, ["backplane"])
    assert said["backplane"]["connected"] is False
    carrier.let.set()
    while node.orders.joining:
        await asyncio.sleep(0)
    assert (await get("/ready"))[0] == 200


async def test_what_only_reads_is_asked_of_us_and_the_rest_of_the_site():
    assert await get("/ready", "POST") == (404, {"error": "Not found", "code": 404})


async def test_lateness_is_seen_while_it_lasts_and_for_a_while_after():
    loop = asyncio.get_running_loop()
    lag = LoopLag(loop)
    await asyncio.sleep(0)
    time.sleep(0.7)
    assert lag.seconds > 0.15
    await asyncio.sleep(0.01)
    assert lag.seconds > 0.15
    lag.stop()
