"""``broadcast_send`` sends as the project would, or says what to change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management.base import CommandError

from broadcasting.broadcasts import Broadcast
from broadcasting.testing import FakeBroadcasts, fake
from tests.commands.conftest import Run
from tests.sending.conftest import Configure


def test_it_sends(run: Run, outbox: list[Broadcast]) -> None:
    """App 23"""
    text = run("broadcast_send", "private-orders.1", "OrderShipped", '{"id": 1}')
    (sent,) = outbox
    assert (sent.name, sent.channels) == ("OrderShipped", ("private-orders.1",))
    assert json.loads(sent.data) == {"id": 1}
    assert text == "OrderShipped on private-orders.1 was handed on, through locmem.\n"


def test_options_are_those_of_a_dispatch(run: Run) -> None:
    broadcasts: FakeBroadcasts
    with fake() as broadcasts:
        run("broadcast_send", "news", "Told", via=["locmem", "log"], to_others="1.2", now=True)
    assert [record.broadcaster for record in broadcasts.sent] == ["locmem", "log"]
    assert {record.except_socket for record in broadcasts.sent} == {"1.2"}
    assert broadcasts.sent[0].payload == {}


@pytest.mark.parametrize(
    ("args", "options", "problem"),
    [
        (["news", "Told", "{id: 1}"], {}, "not JSON .*single quotes"),
        (["news", "Told", "[" * 100_000], {}, "not JSON"),
        (["news", "Told", "[1]"], {}, "must be an object"),
        (["news", "Told"], {"via": ["nowhere"]}, "BROADCASTERS has no 'nowhere'; it has: default"),
        (["news!", "Told"], {}, "InvalidChannelName: 'news!' is not"),
        (["news", "pusher:told"], {}, "InvalidEventName"),
        (["news", "Told"], {"to_others": ""}, "--to-others"),
        (["news", "Told"], {"via": ["default"]}, "NoServerHere: .*'redis'"),
    ],
)
def test_it_says_what_to_change(
    run: Run, configure: Configure, args: list[str], options: dict[str, Any], problem: str
) -> None:
    configure()  # so that nothing is left of a test that routed sockets
    with pytest.raises(CommandError, match=problem):
        run("broadcast_send", *args, **options)


def test_a_failure_under_rescue_is_not_taken_for_success(run: Run, configure: Configure) -> None:
    configure(RESCUE=True)
    with pytest.raises(CommandError, match="It was not sent"):
        run("broadcast_send", "news", "Told")
