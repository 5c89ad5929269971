"""What a server process is told so that it tells a receiver what occurs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.webhooks.receiver import Receiver

QUICK: dict[str, Any] = {
    "BATCH_SECONDS": 0.02,
    "GRACE": 0.3,
    "TIMEOUT": 2,
    "FIRST_RETRY": 0.05,
    "RETRY_SECONDS": 20,
}
"""``WEBHOOKS``, cut short."""


def application(receiver: Receiver, *webhooks: dict[str, Any], **options: Any) -> dict[str, Any]:
    """An application that tells ``receiver``; a webhook's ``url`` is only its path."""
    entries = [{**w, "url": receiver.url + w.get("url", "")} for w in webhooks or ({},)]
    app_id = options.get("id", "app")
    return {
        "id": app_id,
        "key": f"{app_id}-key",
        "secret": f"{app_id}-secret",
        "enable_client_events": True,
        "webhooks": entries,
        **options,
    }


def environment(
    database: Path, applications: list[dict[str, Any]], **settings: Any
) -> dict[str, str]:
    """The environment of its processes; ``settings`` change QUICK."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.webhooks.live_settings",
        "BROADCASTING_TEST_DATABASE": str(database),
        "NO_PROXY": "localhost,127.0.0.1",
        "WEBHOOK_TEST_APPLICATIONS": json.dumps(applications),
        "WEBHOOK_TEST_SETTINGS": json.dumps(QUICK | settings),
    }
