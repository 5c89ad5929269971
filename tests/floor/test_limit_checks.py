"""Limits that get in each other's way are told before anybody wonders."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from broadcasting.checks.limits import check_limits, check_origins, check_proxies, check_trust

ENTRY = {"id": "app", "key": "app-key", "secret": "app-secret", "enable_client_events": True}


def limits(**changes: Any) -> list[str | None]:
    server = changes.pop("SERVER", {})
    application = {**ENTRY, **changes}
    with override_settings(BROADCASTING={"APPLICATIONS": [application], "SERVER": server}):
        return [message.id for message in check_limits()]


def test_the_defaults_are_fine() -> None:
    assert limits() == []
    assert check_trust() == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"max_client_events_per_second": 101}, True),
        ({"max_client_events_per_second": None}, True),
        ({"max_client_events_per_second": 100}, False),
        ({"max_client_events_per_second": None, "max_messages_per_second": None}, False),
        ({"max_client_events_per_second": None, "enable_client_events": False}, False),
    ],
)
def test_whispers_that_would_wait(changes: dict[str, Any], wrong: bool) -> None:
    assert limits(**changes) == ["broadcasting.W040"] * wrong


def test_messages_that_nobody_reads() -> None:
    assert limits(max_message_size=1_048_577) == ["broadcasting.W041"]
    assert limits(max_message_size=1_048_577, SERVER={"MAX_FRAME_BYTES": 2_000_000}) == []


def test_a_variable_that_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    assert check_proxies() == []
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    (message,) = check_proxies()
    assert (message.id, "TRUSTED_PROXIES" in str(message.hint)) == ("broadcasting.W042", True)


@pytest.mark.parametrize(
    ("trusted", "wrong"), [(["0.0.0.0/0"], True), (["10.0.0.0/8", "::/0"], True), (["::1"], False)]
)
def test_everybody_is_no_proxy(trusted: list[str], wrong: bool) -> None:
    with override_settings(BROADCASTING={"SERVER": {"TRUSTED_PROXIES": trusted}}):
        assert [message.id for message in check_trust()] == ["broadcasting.W043"] * wrong


@pytest.mark.parametrize(
    ("hosts", "origins", "wrong"),
    [
        (["*"], None, True),
        (["*"], ["*"], False),
        (["*"], ["shop.test"], False),
        ([".shop.test"], None, False),
    ],
)
def test_pages_of_any_site(hosts: list[str], origins: list[str] | None, wrong: bool) -> None:
    application = {**ENTRY, "allowed_origins": origins}
    with override_settings(BROADCASTING={"APPLICATIONS": [application]}, ALLOWED_HOSTS=hosts):
        assert [message.id for message in check_origins()] == ["broadcasting.W044"] * wrong
