"""The doctor as its caller sees it: the command, and what it found by hop."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests import live


@dataclass
class Findings:
    """What one run of the command came to."""

    code: int
    ok: bool
    hops: dict[str, dict[str, Any]]
    text: str

    def status(self, name: str) -> str:
        return str(self.hops[name]["status"])

    def cure(self, name: str) -> str:
        return str(self.hops[name]["cure"])

    def detail(self, name: str) -> str:
        return str(self.hops[name]["detail"])


def findings_of(code: int, text: str) -> Findings:
    answer = json.loads(text)
    return Findings(code, answer["ok"], {hop["name"]: hop for hop in answer["hops"]}, text)


@pytest.fixture
def doctor() -> Callable[..., Findings]:
    """Run the command in this process, under the settings of the test."""

    def run(**options: Any) -> Findings:
        out = io.StringIO()
        code = 0
        try:
            call_command("broadcasting_doctor", json=True, stdout=out, **options)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return findings_of(code, out.getvalue())

    return run


@pytest.fixture(scope="module")
def running(live_database: Path) -> Iterator[live.Server]:
    """A server that tests leave as they found it."""
    with live.serving("uvicorn", {"BROADCASTING_TEST_DATABASE": str(live_database)}) as server:
        yield server
