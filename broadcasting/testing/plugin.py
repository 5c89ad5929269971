"""The pytest plugin: the fixture ``broadcasts``. Imports nothing of Django until it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from broadcasting.testing.fakes import FakeBroadcasts


@pytest.fixture
def broadcasts() -> Iterator[FakeBroadcasts]:
    """Record what would be broadcast during the test, in every thread; no event leaves."""
    from broadcasting.testing.fakes import fake

    with fake() as recorded:
        yield recorded
