"""Signatures that count once, where an application wants it: what is overheard is of no use.

Pusher takes a signed request as often as it comes for ten minutes, and libraries that send the same
thing twice in one second sign it the same. So this is a switch, and what has an ``idempotency_key``
passes: it is answered again, and done once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from broadcasting.api.counters import counters
from broadcasting.api.requests import Request
from broadcasting.api.responses import ApiError
from broadcasting.protocol.signing import MAX_SKEW
from broadcasting.registry import get_registry

KEEP_SECONDS = 2.0 * MAX_SKEW
"""How long a signature is good at most: its clock may be ahead by as much as it may be behind."""

Endpoint = Callable[[Request], Awaitable[dict[str, Any]]]


async def serve_once(endpoint: Endpoint, request: Request, *, knows_keys: bool) -> dict[str, Any]:
    """Return the answer of ``endpoint`` to a signature that was not seen before.

    ``knows_keys``: whether it does once what has an ``idempotency_key``. Raises ApiError 409 for a
    signature that was. What failed may come again as it is.
    """
    registry, app_id = get_registry(), request.application.id
    key = f"signature:{request.parameters['auth_signature']}"
    if not await registry.claim(app_id, key, KEEP_SECONDS):
        if knows_keys and _has_key(request):
            return await endpoint(request)
        counters.replayed += 1
        raise ApiError(409, "This signature was used before: sign anew, or send an idempotency_key")
    try:
        return await endpoint(request)
    except BaseException:
        await registry.release(app_id, key)
        raise


def _has_key(request: Request) -> bool:
    try:
        return request.json().get("idempotency_key") is not None
    except ApiError:
        return False
