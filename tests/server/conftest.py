from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.certificates import Certificate, make


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: paths of unix sockets end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ws") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of this machine, and its key."""
    return make(tmp_path_factory.mktemp("tls") / "ours")
