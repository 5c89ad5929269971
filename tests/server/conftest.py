from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: paths of unix sockets end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ws") as name:
        yield Path(name)
