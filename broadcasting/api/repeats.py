"""Publishing once, however often a publisher that lost an answer asks (``idempotency_key``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

from broadcasting.api.counters import counters
from broadcasting.api.responses import ApiError
from broadcasting.backplanes import Envelope
from broadcasting.protocol.application import Application
from broadcasting.publishing import apublish
from broadcasting.registry import get_registry

KEEP_SECONDS = 300.0
"""How long a key is known: longer than publishers go on trying."""

MAX_KEY_LENGTH = 128

# One a key, so that a repeat waits for the first request: that may fail yet.
_locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


def key_of(body: dict[str, Any]) -> str | None:
    """Return the key in ``body``, if it has one. Raises ApiError."""
    key = body.get("idempotency_key")
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ApiError(400, f"'idempotency_key' must be text of 1 to {MAX_KEY_LENGTH} characters")
    return key


async def publish_once(application: Application, key: str, envelopes: Iterable[Envelope]) -> None:
    """Publish in order, unless ``key`` was seen before. Raises PublishError.

    A key whose publishing failed is as good as never seen.
    """
    registry, name = get_registry(), f"event:{key}"
    async with _locks.setdefault((application.id, key), asyncio.Lock()):
        if not await registry.claim(application.id, name, KEEP_SECONDS):
            counters.repeated += 1
            return
        try:
            for envelope in envelopes:
                await apublish(envelope)
        except BaseException:
            await registry.release(application.id, name)
            raise
