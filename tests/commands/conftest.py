from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from tests.sending.conftest import configure, outbox

__all__ = ["configure", "outbox"]

Run = Callable[..., str]


class Screen(io.StringIO):
    """A terminal, as far as it is asked."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run() -> Run:
    """Run a command and return what it prints; ``terminal=True``: to a person."""

    def command(name: str, *args: str, terminal: bool = False, **options: Any) -> str:
        out = Screen() if terminal else io.StringIO()
        call_command(name, *args, stdout=out, **options)
        return out.getvalue()

    return command
