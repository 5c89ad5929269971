"""Checks of webhooks: that they can be sent, and what may be lost."""

from __future__ import annotations

from importlib.util import find_spec

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from broadcasting.checks.applications import known_applications
from broadcasting.conf import get_settings
from broadcasting.queues import get_queue

LIBRARY = "httpx2"


@register("broadcasting")
def check_webhook_library(
    app_configs: object = None, *, library: str = LIBRARY, **kwargs: object
) -> list[CheckMessage]:
    """E028: webhooks without what sends them."""
    if not _have_webhooks() or find_spec(library) is not None:
        return []
    return [
        Error(
            "An application has webhooks, but the HTTP library that sends them is missing.",
            hint="pip install 'django-broadcasting[http]'",
            id="broadcasting.E028",
        )
    ]


@register("broadcasting", deploy=True)
def check_webhook_queue(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W030: webhooks that a process takes with it when it ends."""
    if not _have_webhooks():
        return []
    try:
        leaves = get_queue().leaves_process
    except Exception:  # said by the checks of the families
        return []
    if leaves and get_settings().webhooks.log:
        return []
    why = (
        "BROADCASTING['WEBHOOKS']['LOG'] is False"
        if leaves
        else "the queue does not leave the process"
    )
    return [
        CheckWarning(
            f"Webhooks are sent by the server process itself, since {why}: what waits there for"
            " its endpoint is lost when the process crashes or ends.",
            hint="Use QUEUE = {'BACKEND': 'celery'} (or 'tasks', with workers) and WEBHOOKS ="
            " {'LOG': True}, or silence this check if that may happen.",
            id="broadcasting.W030",
        )
    ]


def _have_webhooks() -> bool:
    return any(application.webhooks for application in known_applications() or ())
