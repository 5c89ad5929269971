from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcasting.registry import get_registry


@pytest.fixture(autouse=True)
def own_registry() -> None:
    """None of what another test's sockets left: the registry is the process's."""
    get_registry.reset()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: paths of unix sockets end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ws") as name:
        yield Path(name)
