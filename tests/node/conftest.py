from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.live import Server
from tests.node.process import Node, Page, missing, running

Pages = Callable[..., Page]


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
    opened: list[Page] = []
    numbers = itertools.count(1)

    def page(server: Server, user: str | None = None) -> Page:
        opened.append(Page(node, server, f"{user or 'guest'}-{next(numbers)}", user))
        return opened[-1]

    yield page
    for one in opened:
        one.close()
