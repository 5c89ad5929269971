"""What one process asks of every node, in envelopes of the kind ``control``.

Each application has one topic for them, and the frame is JSON for the node itself: no socket
ever gets it.
"""

from __future__ import annotations

import time
from typing import TypeAlias

import msgspec

from broadcasting.backplanes.envelope import Envelope, UnreadableEnvelope

CONTROL_CHANNEL = "#control"
"""Where every node listens. No client can: only ``#server-to-user-...`` may begin so."""


class Terminate(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="terminate"):
    """End every connection that is known to belong to ``user_id``."""

    user_id: str
    reconnect: bool = False
    """Whether clients may return at once."""

    at: int = 0
    """Milliseconds since 1970; answers that were signed until then are not good any more."""

    members: bool = True
    """Whether those are meant too that are known by a presence channel alone."""

    session: str | None = None
    """Spare connections of which is known that they belong to another session than this one."""


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="revoke"):
    """Take every connection of ``user_id`` out of a channel."""

    user_id: str
    channel: str
    at: int
    """See Terminate."""


class Remember(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="remember"):
    """Keep the last frame of a cache channel, for a registry that each process has its own of."""

    channel: str
    frame: str
    id: str
    ttl: float
    """Seconds."""


Control: TypeAlias = Terminate | Revoke | Remember

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Control)


def now_ms() -> int:
    """Return the milliseconds since 1970, by the clock of this machine."""
    return time.time_ns() // 1_000_000


def envelope(app_id: str, control: Control) -> Envelope:
    """Return ``control`` on its way to every node."""
    frame = _encoder.encode(control).decode()
    return Envelope(app_id=app_id, channel=CONTROL_CHANNEL, frame=frame, kind="control")


def read(carried: Envelope) -> Control:
    """Return what an envelope asks; raise UnreadableEnvelope for what this version cannot do."""
    try:
        control: Control = _decoder.decode(carried.frame)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise UnreadableEnvelope(str(error)) from error
    return control
