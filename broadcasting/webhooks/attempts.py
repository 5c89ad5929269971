"""Trying to deliver, and what a failure means: shared by the server process and the workers."""

from __future__ import annotations

import logging
import random
import sys
import time
from importlib import import_module
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from broadcasting.backplanes.background import BackgroundLoop
from broadcasting.conf import get_settings
from broadcasting.protocol.application import Application, Webhook
from broadcasting.webhooks.bodies import Outcome, wait_after

logger = logging.getLogger("broadcasting.webhooks")

loop = BackgroundLoop("broadcasting-webhooks")
"""Where all requests of this process are made."""


async def attempt(
    application: Application, webhook: Webhook, delivery_id: str, body: str
) -> Outcome:
    """Make one request, on ``loop``. Never raises."""
    try:
        sending = import_module("broadcasting.webhooks.sending")
    except ImproperlyConfigured as error:
        return Outcome(error=str(error))
    outcome: Outcome = await sending.post(application, webhook, delivery_id, body)
    return outcome


async def hang_up() -> None:
    """Let the connections of ``loop`` go, if there are any."""
    sending = sys.modules.get("broadcasting.webhooks.sending")
    if sending is not None:
        await sending.close()


def attempt_and_wait(
    application: Application, webhook: Webhook, delivery_id: str, body: str
) -> Outcome:
    """See attempt(), from a thread that may wait."""
    return loop.submit(attempt(application, webhook, delivery_id, body)).result()


def is_over(retry_until: float) -> bool:
    """Whether that moment, in seconds since the epoch, has passed."""
    return time.time() >= retry_until


def next_wait(attempts: int, retry_until: float) -> float | None:
    """Return the seconds until the next attempt, or None when it would come too late.

    ``retry_until``: in seconds since the epoch.
    """
    # Spread out, so that it need not be a secret number.
    wait = wait_after(attempts, get_settings().webhooks.first_retry, random.random())  # noqa: S311
    return None if time.time() + wait > retry_until else wait


def report(
    delivery_id: object, app_id: str, url: str, outcome: Outcome, wait: float | None
) -> None:
    """Log an attempt that failed. The path of ``url`` may be a secret, its host is none."""
    host = urlsplit(url).hostname
    if wait is None:
        logger.error("Gave up webhook %s of %s to %s: %s", delivery_id, app_id, host, outcome.error)
    else:
        logger.warning(
            "Webhook %s of %s to %s failed, again in %.1f s: %s",
            delivery_id,
            app_id,
            host,
            wait,
            outcome.error,
        )
