from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.websocket.site import Site, echo


@pytest.fixture(scope="session", params=["uvloop", "asyncio"])
def running_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with Site(request.param).running() as site:
        yield site


@pytest.fixture
def site(running_site: Site) -> Site:
    """A server on a loop of each kind, whose application echoes until another is set."""
    running_site.application = echo
    return running_site
