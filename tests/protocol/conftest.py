from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broadcasting.protocol.application import Application
from broadcasting.protocol.protocol import Member, Protocol

MakeProtocol = Callable[..., Protocol]


@pytest.fixture
def connect() -> MakeProtocol:
    """Return a connection's state at second 0, of an application with the limits given."""

    def make(*channels: str, members: dict[str, Member] | None = None, **limits: Any) -> Protocol:
        limits = {"enable_client_events": True, **limits}
        application = Application(id="app", key="app-key", secret="app-secret", **limits)
        protocol = Protocol(application, "123.456", now=0)
        protocol.subscriptions.update(dict.fromkeys(channels))
        protocol.subscriptions.update(members or {})
        return protocol

    return make
