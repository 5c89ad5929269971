from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from broadcasting.authorization import finders, resolver, routes
from broadcasting.authorization.finders import Finders
from broadcasting.authorization.rules import Routes
from broadcasting.authorization.users import UserResolver

Ask = Callable[..., Any]


@pytest.fixture
def rules() -> Iterator[Routes]:
    """No rule but those that the test registers."""
    with routes.isolated() as empty:
        yield empty


@pytest.fixture
def finding() -> Iterator[Finders]:
    """No finder but those that the test binds."""
    with finders.isolated() as empty:
        yield empty


@pytest.fixture
def resolving() -> Iterator[UserResolver]:
    """No user resolver but the one that the test registers."""
    with resolver.isolated() as empty:
        yield empty


@pytest.fixture
def ask(client: Client) -> Ask:
    """Post to the auth view as pusher-js does, for one channel."""

    def post(channel: str | None, socket_id: str | None = "123.456", **extra: Any) -> HttpResponse:
        form = {"socket_id": socket_id, "channel_name": channel}
        return client.post(  # type: ignore[return-value]
            "/broadcasting/auth", {k: v for k, v in form.items() if v is not None}, **extra
        )

    return post
