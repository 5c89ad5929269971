"""``websockets_restart``: whom it asks, and what a server makes of it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.management import CommandError, call_command

from broadcasting.applications import get_applications
from broadcasting.asgi import get_application
from broadcasting.backplanes import control
from broadcasting.broadcasters.pusher.requests import Request, signed
from broadcasting.server.node import Node, get_node
from tests import live


def refused(*options: str) -> str:
    with pytest.raises(CommandError) as stopped:
        call_command("websockets_restart", *options)
    return str(stopped.value)


@pytest.mark.parametrize("over", ["-1", "nan", "inf", "90000"])
def test_servers_spread_over_a_day_at_most(over: str):
    assert refused(f"--over={over}") == "--over is a number of seconds from 0 to 86400."


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://here", "http://:nowhere"])
def test_a_server_that_is_not_there_is_named(url: str):
    said = refused("--url", url)
    assert said.startswith(f"No server answers at {url} (")
    assert said.endswith("--url or --uds says where it is.")


def test_no_library_of_drivers_is_needed():
    program = "import sys; sys.modules['httpx2'] = None; import django; django.setup();"
    command = "from django.core.management import execute_from_command_line as run; run(sys.argv)"
    done = live.run({}, "-c", program + command, "websockets_restart", "--over=-1")
    assert "CommandError: --over is a number" in done.stderr


async def ask(app_id: str, **parameters: str) -> int:
    """Return the status of the answer to a restart that is signed by an application."""
    application = get_applications().by_id(app_id)
    assert application is not None
    request = Request(method="POST", path="/restart", parameters=parameters)
    path, query = signed(application, request, time.time())
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [],
    }
    asked = ApplicationCommunicator(get_application(), scope)
    await asked.send_input({"type": "http.request", "body": b"", "more_body": False})
    status: int = (await asked.receive_output())["status"]
    await asked.receive_output()
    return status


def restartable(node: Node) -> list[float]:
    asked: list[float] = []
    node.orders.restart = lambda request, over: asked.append(over)
    return asked


async def test_only_the_first_application_may_ask_at_the_port():
    asked = restartable(get_node())
    first, other = list(get_applications().all())[:2]
    assert await ask(other.id) == 403
    assert await ask(first.id, over="soon") == 400
    assert await ask(first.id, over="-1") == 400
    assert asked == []
    assert await ask(first.id, over="2.5") == 200
    assert asked == [2.5]


async def test_a_server_that_nobody_restarts_says_so():
    first = next(iter(get_applications().all()))
    assert await ask(first.id) == 403


async def test_a_word_on_the_topic_of_the_deployment_is_obeyed_and_no_other(
    caplog: pytest.LogCaptureFixture,
):
    node = get_node()
    asked = restartable(node)
    node.receive(control.envelope("app", control.Restart(over=1)))
    assert asked == []
    assert "Asked to restart" in caplog.text
    node.receive(control.envelope(control.DEPLOYMENT, control.Restart(over=1)))
    assert asked == [1]
