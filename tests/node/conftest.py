from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.live import Server
from tests.node.client import Client
from tests.node.process import Node, Page, Tab, missing, running

Pages = Callable[..., Page]
Clients = Callable[..., Client]
SomeTab = TypeVar("SomeTab", bound=Tab)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A node process that can hold any number of pages."""
    if reason := missing():
        pytest.skip(reason)
    with running() as process:
        yield process


@pytest.fixture
def pages(node: Node) -> Iterator[Pages]:
    """Call it with a server and a user for one more page; all are closed afterwards."""
    yield from opening(node, Page)


@pytest.fixture(params=["reverb", "pusher"])
def pages_of_both(request: pytest.FixtureRequest, node: Node) -> Iterator[Pages]:
    """See pages(); with each broadcaster that speaks Pusher's protocol."""
    # pusher-js insists on a cluster even where a host is given; "reverb" sets it by itself.
    more = {"cluster": ""} if request.param == "pusher" else {}
    yield from opening(node, Page, common={"broadcaster": request.param, **more})


@pytest.fixture
def clients(node: Node) -> Iterator[Clients]:
    """See pages(); for one more pusher-js without Echo."""
    yield from opening(node, Client)


def opening(node: Node, kind: type[SomeTab], **common: Any) -> Iterator[Callable[..., SomeTab]]:
    """What the fixtures are made of; ``common`` goes to each tab."""
    opened: list[SomeTab] = []
    numbers = itertools.count(1)

    def open_one(server: Server, user: str | None = None) -> SomeTab:
        name = f"{kind.__name__} {user or 'guest'} {next(numbers)}"
        opened.append(kind(node, server, name, user, **common))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
