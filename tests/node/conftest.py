from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

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


@pytest.fixture
def clients(node: Node) -> Iterator[Clients]:
    """See pages(); for one more pusher-js without Echo."""
    yield from opening(node, Client)


def opening(node: Node, kind: type[SomeTab]) -> Iterator[Callable[..., SomeTab]]:
    opened: list[SomeTab] = []
    numbers = itertools.count(1)

    def open_one(server: Server, user: str | None = None) -> SomeTab:
        name = f"{kind.__name__} {user or 'guest'} {next(numbers)}"
        opened.append(kind(node, server, name, user))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
