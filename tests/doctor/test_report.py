"""What a hop says, and what it never says."""

from __future__ import annotations

import pytest

from broadcasting.doctor.client import Address
from broadcasting.doctor.report import Doubtful, Examiner, Skipped


def test_passwords_and_secrets_are_blotted_out() -> None:
    def check() -> str:
        raise RuntimeError("redis://user:word@host/0 and rediss://:word@h, signed with app-secret")

    hop = Examiner(["app-secret", ""]).examine("any", check)
    assert hop.status == "failed"
    assert hop.detail == "RuntimeError: redis://***@host/0 and rediss://***@h, signed with ***"


def test_a_verdict_is_kept() -> None:
    def doubt() -> str:
        raise Doubtful("so so", "do this")

    def skip() -> str:
        raise Skipped("not here")

    examiner = Examiner()
    doubtful = examiner.examine("one", doubt)
    assert (doubtful.status, doubtful.detail, doubtful.cure) == ("warning", "so so", "do this")
    skipped = examiner.examine("two", skip)
    assert (skipped.status, skipped.milliseconds) == ("skipped", None)
    assert examiner.examine("three", lambda: "fine").status == "ok"


@pytest.mark.parametrize(
    ("url", "prefix", "expected"),
    [
        ("ws://localhost:6001", "", "ws://localhost:6001/app/k"),
        ("localhost:6001", "", "ws://localhost:6001/app/k"),
        ("wss://ws.example.com", "", "wss://ws.example.com:443/app/k"),
        ("https://example.com/realtime/", "", "wss://example.com:443/realtime/app/k"),
        ("http://example.com", "/realtime", "ws://example.com:80/realtime/app/k"),
        ("ws://example.com/x/app/k?protocol=7", "/y", "ws://example.com:80/x/app/k"),
        ("http://[::1]:8000", "", "ws://[::1]:8000/app/k"),
    ],
)
def test_addresses(url: str, prefix: str, expected: str) -> None:
    assert Address.parse(url, prefix).socket_url("k") == expected
