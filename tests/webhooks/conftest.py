from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sending.conftest import configure
from tests.webhooks.receiver import Receiver, receiving

__all__ = ["configure"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers are on this machine, whatever else the environment says."""
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint of the test's own."""
    with receiving() as running:
        yield running
