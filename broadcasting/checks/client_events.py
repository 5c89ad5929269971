"""Checks of the handlers of client events: that there can be something for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from broadcasting.client_events import handlers
from broadcasting.protocol.names import CLIENT_PREFIX, ChannelKind

_WHISPERING = (ChannelKind.PRIVATE.value, ChannelKind.PRESENCE.value)
_ENCRYPTED = ChannelKind.ENCRYPTED.value
# What comes before the first placeholder is the only part that is surely in every name.
_PLACEHOLDER = re.compile(r"[*?\[]")


@register("broadcasting")
def check_client_events(app_configs: object = None, **kwargs: object) -> list[CheckMessage]:
    """W029: handlers that are never called."""
    return [*_never_called()]


def _never_called() -> Iterator[CheckMessage]:
    for entry in handlers:
        if why := _channel_problem(entry.channel) or _event_problem(entry.event):
            yield CheckWarning(
                f"The client event handler {entry.name} is never called: {why}.",
                hint="Clients whisper in private and presence channels, events whose names begin"
                ' with "client-": @on_client_event("private-chat.*", "client-typing").',
                id="broadcasting.W029",
            )


def _channel_problem(pattern: str) -> str | None:
    if _literal(pattern).startswith(_ENCRYPTED):
        return f"channels of {pattern!r} are encrypted and carry no client events"
    if not _may_begin(pattern, _WHISPERING):
        return f"channels of {pattern!r} are public and carry no client events"
    return None


def _event_problem(pattern: str) -> str | None:
    if _may_begin(pattern, (CLIENT_PREFIX,)):
        return None
    return f"no client event is called {pattern!r}"


def _may_begin(pattern: str, prefixes: tuple[str, ...]) -> bool:
    literal = _literal(pattern)
    if literal == pattern:
        return literal.startswith(prefixes)
    return any(literal.startswith(p) or p.startswith(literal) for p in prefixes)


def _literal(pattern: str) -> str:
    found = _PLACEHOLDER.search(pattern)
    return pattern if found is None else pattern[: found.start()]
