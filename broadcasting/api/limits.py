"""How much each application may ask of this process, a second.

An event counts one, however many channels it goes to; a batch counts its events, and a request
to terminate connections counts one. Requests that read count one each.
"""

from __future__ import annotations

import math
import time

from broadcasting.api.counters import counters
from broadcasting.api.responses import ApiError, retry_after
from broadcasting.conf import on_change
from broadcasting.protocol.application import Application
from broadcasting.protocol.ratelimit import TokenBucket

# Only what was signed comes this far, so there are no more buckets than applications.
_events: dict[str, TokenBucket] = {}
_reads: dict[str, TokenBucket] = {}

on_change(_events.clear)
on_change(_reads.clear)


def take_events(application: Application, number: int) -> None:
    """Take ``number`` events of the application's rate. Raises ApiError 429."""
    limit = application.max_backend_events_per_second
    if limit is not None:
        _take(_events, application.id, limit, number, "events")


def take_read(application: Application) -> None:
    """Take one request of the application's rate. Raises ApiError 429."""
    limit = application.max_read_requests_per_second
    if limit is not None:
        _take(_reads, application.id, limit, 1, "reading requests")


def _take(buckets: dict[str, TokenBucket], app_id: str, limit: int, number: int, what: str) -> None:
    now = time.monotonic()
    bucket = buckets.get(app_id)
    if bucket is None or bucket.limit != limit:
        bucket = buckets[app_id] = TokenBucket(limit, now)
    if not bucket.allow(now, number):
        counters.limited += 1
        seconds = max(1, math.ceil(bucket.wait(number)))
        message = f"The application may have {limit} {what} a second"
        raise ApiError(429, message, retry_after(seconds))
