"""What is told before a webhook is lost, and that the table is as the model says."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command

from broadcasting.checks.webhooks import check_webhook_library

HOOKED = {
    "id": "app",
    "key": "app-key",
    "secret": "a-secret-of-more-than-sixteen-characters",
    "webhooks": [{"url": "https://example.com/"}],
}


def told(check: str, *, deploy: bool = False) -> list[CheckMessage]:
    messages = run_checks(tags=["broadcasting"], include_deployment_checks=deploy)
    return [m for m in messages if m.id == f"broadcasting.{check}"]


def test_webhooks_need_the_http_library(configure: Any) -> None:
    """App 22: E028."""
    assert check_webhook_library(library="no_such_library") == []
    configure(APPLICATIONS=[HOOKED])
    (found,) = check_webhook_library(library="no_such_library")
    assert found.id == "broadcasting.E028"
    assert "django-broadcasting[http]" in (found.hint or "")
    assert told("E028") == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "does not leave"),
        ({"QUEUE": {"BACKEND": "tests.webhooks.test_log.Recorded"}}, None),
        (
            {
                "QUEUE": {"BACKEND": "tests.webhooks.test_log.Recorded"},
                "WEBHOOKS": {"LOG": False},
            },
            "LOG",
        ),
        ({"APPLICATIONS": [HOOKED | {"webhooks": []}]}, None),
        ({"QUEUE": {"BACKEND": "nowhere"}}, None),
        ({"APPLICATIONS": "nowhere.Applications"}, None),
    ],
)
def test_deployments_are_told_what_a_process_may_lose(
    configure: Any, changes: dict[str, Any], why: str | None
) -> None:
    configure(**{"APPLICATIONS": [HOOKED]} | changes)
    assert told("W030") == []
    found = told("W030", deploy=True)
    assert len(found) == (why is not None)
    assert all(str(why) in m.msg for m in found)


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    call_command("makemigrations", "broadcasting", check=True, dry_run=True, verbosity=0)
