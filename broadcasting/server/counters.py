"""Plain integers, so that counting costs nothing on the hot path."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What one node has done since it began."""

    opened: int = 0
    """Connections that completed the handshake."""

    refused: int = 0
    """Connections that did not."""

    messages_in: int = 0
    """Frames received from clients."""

    envelopes_in: int = 0
    """Broadcasts received from the backplane."""

    frames_out: int = 0
    """Frames handed to sockets by broadcasts."""

    protocol_errors: int = 0
    """Malformed or forbidden messages, answered."""

    failures: int = 0
    """Exceptions of our own while a message was handled."""

    slow_closed: int = 0
    """Sockets ended because their outbox was full."""

    slow_dropped: int = 0
    """Frames not given to a socket because its outbox was full."""

    backlogs: int = 0
    """Times that a channel of very many listeners was written to the end at once, since events
    came faster than it could be written in slices."""

    terminated: int = 0
    """Sockets ended because the application terminated their user's connections."""

    revoked: int = 0
    """Subscriptions ended because the application revoked them."""

    unauthorized_closed: int = 0
    """Sockets ended because they neither signed in nor joined a guarded channel in time."""

    unreadable: int = 0
    """Control envelopes of a version that this node does not know."""

    stale_closed: int = 0
    """Sockets ended because a ping stayed unanswered."""

    heads_too_large: int = 0
    """HTTP connections ended because of a request with too much before its body."""

    heads_too_slow: int = 0
    """HTTP connections ended because a request's headers did not come in time."""

    untold: int = 0
    """Changes that other nodes could not be told; they find out by themselves."""

    rosters_mended: int = 0
    """Times that the members of a channel were read anew, since changes had been missed."""

    leases_lost: int = 0
    """Times that this node had to enter all its sockets anew in a shared registry."""

    swept: int = 0
    """Entries of dead nodes that this one took out of the registry."""
