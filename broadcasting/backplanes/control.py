"""What one process asks of every node, in envelopes of the kind ``control``.

Each application has one topic for them, and what concerns one channel only goes where its
listeners are. The frame is JSON for the node itself: no socket ever gets it.
"""

from __future__ import annotations

import time
from typing import TypeAlias

import msgspec

from broadcasting.backplanes.envelope import Envelope, UnreadableEnvelope
from broadcasting.protocol import messages
from broadcasting.protocol.errors import InvalidMessage

CONTROL_CHANNEL = "#control"
"""Where every node listens. No client can: only ``#server-to-user-...`` may begin so."""

DEPLOYMENT = ""
"""Stands for the application where something is asked of all of them. None can have this id."""


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


class Members(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="members"):
    """The members of a presence channel changed; on the topic of that channel."""

    revision: int
    """See broadcasting.registry.Joined; of one channel they are put back in order by it."""

    previous: int
    user_id: str
    here: bool
    """Whether the user is a member now."""

    user_info: str = "null"
    """JSON text; of one who is not here, nothing."""


class Count(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="count"):
    """A channel has so many connections; on the topic of that channel."""

    count: int
    order: int
    """See broadcasting.registry.Joined."""


class Online(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="online"):
    """A user came online, or went, on whatever node: for those who watch."""

    user_id: str
    online: bool


class Restart(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="restart"):
    """Stop well, and let your supervisor start you again; on the topic of the deployment."""

    over: float = 0
    """Seconds over which nodes spread, each waiting at random."""


Control: TypeAlias = Terminate | Revoke | Remember | Members | Count | Online | Restart

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Control)


def now_ms() -> int:
    """Return the milliseconds since 1970, by the clock of this machine."""
    return time.time_ns() // 1_000_000


def envelope(app_id: str, control: Control, channel: str = CONTROL_CHANNEL) -> Envelope:
    """Return ``control`` on its way to every node, or to those with listeners of ``channel``."""
    try:
        frame = _encoder.encode(control).decode()
    except UnicodeEncodeError:  # ids of members may hold half of a character
        frame = messages.encode(msgspec.to_builtins(control))
    return Envelope(app_id=app_id, channel=channel, frame=frame, kind="control")


def read(carried: Envelope) -> Control:
    """Return what an envelope asks; raise UnreadableEnvelope for what this version cannot do."""
    try:
        return _read(carried.frame)
    except (msgspec.MsgspecError, InvalidMessage, RecursionError, UnicodeError) as error:
        raise UnreadableEnvelope(str(error)) from error


def _read(frame: str) -> Control:
    control: Control
    try:
        control = _decoder.decode(frame)
    except msgspec.DecodeError:  # which half of a character is, too
        control = msgspec.convert(messages.decode_json(frame), Control)
    return control
