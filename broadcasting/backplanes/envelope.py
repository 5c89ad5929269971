"""A frame on its way between processes. Versioned JSON; never pickle."""

from __future__ import annotations

from os import urandom
from typing import Literal

import msgspec

VERSION = 1


class UnreadableEnvelope(ValueError):
    """Not JSON, or of a version this process does not know."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A finished frame for every node that has listeners for ``(app_id, channel)``."""

    app_id: str
    channel: str
    frame: str
    except_socket: str | None = None
    id: str = msgspec.field(default_factory=lambda: urandom(16).hex())
    kind: Literal["event", "control"] = "event"
    position: str | None = None
    """Kept for a history to come; None today."""

    sites: tuple[str, ...] = ()
    """Names of the site that published it, where others may use the same topics."""

    v: int = VERSION


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode(envelope: Envelope) -> str:
    """Return ``envelope`` as JSON text."""
    return _encoder.encode(envelope).decode()


def decode(text: str | bytes) -> Envelope:
    """Return the envelope in ``text``; raise UnreadableEnvelope for anything else."""
    try:
        envelope = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise UnreadableEnvelope(str(error)) from error
    if envelope.v != VERSION:
        raise UnreadableEnvelope(f"version {envelope.v}, this process knows {VERSION}")
    return envelope
