"""What each broadcaster of an event sends, where they do not all send the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.conf import get_settings
from broadcasting.dispatching.outgoing import Outgoing
from broadcasting.encoding import encode


class PerBroadcaster:
    """Returned by ``broadcast_with()``: a payload for each alias of ``BROADCASTERS``.

    ``payloads``: what ``broadcast_with()`` may return otherwise, by alias. Every broadcaster that
    the event goes through must have one; those of others are left alone.
    """

    def __init__(self, payloads: Mapping[str, Any]) -> None:
        self.payloads = dict(payloads)


class Encoded:
    """The payload of one event as JSON text, made once for all who send the same."""

    def __init__(self, outgoing: Outgoing, payload: Any) -> None:
        self._outgoing = outgoing
        self._payload = payload
        if isinstance(payload, PerBroadcaster):
            self._check(payload)
            self._same = None
        else:
            self._same = self._encoded(payload)

    def __getitem__(self, to: str | BaseBroadcaster) -> str:
        """Return the text for a broadcaster, named by its alias if it has one.

        Raises PayloadError, and TypeError where there is no payload for it.
        """
        if self._same is not None:
            return self._same
        payloads = self._payload.payloads
        if to not in payloads:
            whom = repr(to) if isinstance(to, str) else "a broadcaster without an alias"
            raise TypeError(f"{self._outgoing.label}: broadcast_with() has no payload for {whom}")
        return self._encoded(payloads[to])

    def _encoded(self, payload: Any) -> str:
        outgoing = self._outgoing
        values = outgoing.values if payload is None else payload
        return encode(values, outgoing.options.fields, outgoing.options.serializer)

    def _check(self, payload: PerBroadcaster) -> None:
        known = get_settings().broadcasters
        if unknown := payload.payloads.keys() - known.keys():
            raise TypeError(
                f"{self._outgoing.label}: broadcast_with() has payloads for"
                f" {', '.join(map(repr, unknown))}, which BROADCASTERS lacks;"
                f" known: {', '.join(known)}"
            )
