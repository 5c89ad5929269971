from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.sdks import Credentials, NpmSdk, PythonSdk, Sdk
from tests.live import Server
from tests.node.process import Node, missing, running

Connect = Callable[..., Sdk]


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A node process for the npm library."""
    if reason := missing():
        pytest.skip(reason)
    with running() as process:
        yield process


@pytest.fixture(params=["pypi", pytest.param("npm", marks=pytest.mark.node)])
def sdk(request: pytest.FixtureRequest, server: Server) -> Connect:
    """Call it for a library that talks to the server, with changes of its credentials."""
    node = request.getfixturevalue("node") if request.param == "npm" else None

    def connect(**changes: Any) -> Sdk:
        credentials = Credentials(**changes)
        if node is None:
            return PythonSdk(server, credentials)
        return NpmSdk(server, credentials, node)

    return connect
