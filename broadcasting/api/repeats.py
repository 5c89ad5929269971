"""Publishing once, however often a publisher that lost an answer asks (``idempotency_key``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from broadcasting.api.counters import counters
from broadcasting.api.replays import KEEP_SECONDS as REPLAY_SECONDS
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


async def publish_once(application: Application, key: str, envelopes: Sequence[Envelope]) -> None:
    """Publish in order, unless ``key`` was seen before. Raises PublishError.

    A key whose publishing failed may come again: then it is for those envelopes that have not
    left yet.
    """
    registry, whole = get_registry(), f"event:{key}"
    # For as long as the same signature may come.
    keep = REPLAY_SECONDS if application.enable_replay_protection else KEEP_SECONDS
    async with _locks.setdefault((application.id, key), asyncio.Lock()):
        if not await registry.claim(application.id, whole, keep):
            counters.repeated += 1
            return
        try:
            for number, envelope in enumerate(envelopes):
                await _publish_part(application.id, f"part:{number}:{key}", envelope)
        except BaseException:
            await registry.release(application.id, whole)
            raise


async def _publish_part(app_id: str, name: str, envelope: Envelope) -> None:
    registry = get_registry()
    if not await registry.claim(app_id, name, KEEP_SECONDS):
        return
    try:
        await apublish(envelope)
    except BaseException:
        await registry.release(app_id, name)
        raise
