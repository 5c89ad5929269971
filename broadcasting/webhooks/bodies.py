"""What is sent to an endpoint: bodies and headers in Pusher's format, and when to try again.

Nothing here sends, waits or looks at a clock.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from broadcasting import __version__
from broadcasting.applications.webhooks import RESERVED_HEADERS
from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application, Webhook
from broadcasting.protocol.names import ChannelKind, kind_of
from broadcasting.protocol.signing import sign

ID_HEADER: Final = "X-Webhook-Id"
LONGEST_WAIT: Final = 60.0
"""Seconds between two attempts at most."""

JITTER: Final = 0.1
"""How much of a wait may be added, so that many endpoints are not asked at one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request to one endpoint, the same in every attempt."""

    app_id: str
    url: str = field(repr=False)
    """Without credentials."""

    lane: str
    names: str
    """What is told in it, for people."""

    body: str = field(repr=False)
    created: float
    """When its oldest event occurred, in seconds since the epoch."""

    count: int = 1
    """How many events are in it."""

    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended."""

    status: int | None = None
    """Of the answer, if there was one."""

    error: str = ""
    """What went wrong; empty for a delivery."""

    @property
    def delivered(self) -> bool:
        return not self.error


def lane_of(app_id: str, webhook: Webhook, number: int = 0) -> str:
    """Return what names one endpoint of one application.

    Headers have no part in it: they hold secrets, and a new one must not make a new line. Equal
    endpoints are told apart by ``number``, their place among each other.
    """
    types = None if webhook.event_types is None else sorted(webhook.event_types)
    filters = (webhook.channel_name_starts_with, webhook.channel_name_ends_with)
    text = json.dumps([app_id, webhook.url, types, *filters, *([number] if number else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def lanes_of(application: Application) -> Iterator[tuple[str, Webhook]]:
    """Yield each endpoint of ``application`` with its name; no two have the same."""
    seen: Counter[str] = Counter()
    for webhook in application.webhooks:
        lane = lane_of(application.id, webhook)
        number = seen[lane]
        seen[lane] += 1
        yield lane_of(application.id, webhook, number) if number else lane, webhook


def endpoint_of(application: Application, lane: str, url: str) -> Webhook | None:
    """Return the endpoint that a delivery is for, as it is configured now, or None.

    ``url``: as it was kept, see without_credentials().
    """
    exact = next((webhook for name, webhook in lanes_of(application) if name == lane), None)
    return exact or next(
        (webhook for webhook in application.webhooks if without_credentials(webhook.url) == url),
        None,
    )


SECRET_LENGTH = 16
"""Characters from which on a part of a path may be a secret, as chat services put them there."""


def masked(url: str) -> str:
    """Return ``url`` for people: what it may be guarded by is cut short, so that none can post."""
    parts = urlsplit(without_credentials(url))
    path = "/".join(
        f"{part[:4]}…" if len(part) >= SECRET_LENGTH else part for part in parts.path.split("/")
    )
    query = "…" if parts.query else ""
    return urlunsplit(parts._replace(path=path, query=query, fragment=""))


def without_credentials(url: str) -> str:
    """Return ``url`` as it may be kept: without a user and password in front of its host."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an application from elsewhere than the settings, where it is checked
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def event_text(occurrence: Occurrence) -> str:
    """Return ``occurrence`` as one element of ``events``."""
    event: dict[str, Any] = {"name": occurrence.name, "channel": occurrence.channel}
    match occurrence.name:
        case "member_added" | "member_removed":
            event["user_id"] = occurrence.user_id
        case "subscription_count":
            event["subscription_count"] = occurrence.subscription_count
        case "client_event":
            event["event"] = occurrence.event
            event["data"] = occurrence.data
            event["socket_id"] = occurrence.socket_id
            is_presence = kind_of(occurrence.channel or "") is ChannelKind.PRESENCE
            if is_presence and occurrence.user_id is not None:
                event["user_id"] = occurrence.user_id
    return _dump(event)


def body_of(events: Iterable[str], time_ms: int) -> str:
    """Return the body for ``events``, each the text of one."""
    return f'{{"time_ms":{time_ms},"events":[{",".join(events)}]}}'


def renewed(body: str, time_ms: int) -> str:
    """Return ``body`` with another time: receivers refuse old ones."""
    return _dump({**json.loads(body), "time_ms": time_ms})


def names_of(names: Iterable[str]) -> str:
    """Return the names of a body's events, each once, for people."""
    return ", ".join(dict.fromkeys(names))


def headers_of(
    application: Application, webhook: Webhook, delivery_id: str, body: bytes
) -> dict[str, str]:
    """Return the headers of a request; custom ones cannot replace ours."""
    ours = {
        "Content-Type": "application/json",
        "User-Agent": f"django-broadcasting/{__version__}",
        "X-Pusher-Key": application.key,
        "X-Pusher-Signature": sign(application.oldest_secret, body),
        ID_HEADER: delivery_id,
    }
    custom = {
        name: value
        for name, value in webhook.headers.items()
        if name.lower() not in RESERVED_HEADERS and not name.lower().startswith("x-pusher-")
    }
    if any(name.lower() == "user-agent" for name in custom):
        del ours["User-Agent"]
    return {**custom, **ours}


def wait_after(attempts: int, first: float, chance: float) -> float:
    """Return the seconds between attempt number ``attempts`` and the next one.

    ``chance``: a random number from 0 to 1.
    """
    # The exponent is bounded, so that no number of attempts overflows.
    plain = min(first * 2.0 ** min(attempts - 1, 30), max(first, LONGEST_WAIT))
    return plain * (1 + JITTER * chance)


def _dump(value: object) -> str:
    # ASCII: a lone surrogate in a client's data must not keep a body from being sent or stored.
    return json.dumps(value, separators=(",", ":"))
