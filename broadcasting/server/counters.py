"""Plain integers, so that counting costs nothing on the hot path."""

from __future__ import annotations

from dataclasses import dataclass

from broadcasting.protocol import errors

_NAMES: dict[type[errors.ProtocolError], str] = {
    errors.OverCapacity: "over_capacity",
    errors.OriginRefused: "origins_refused",
    errors.TooManyFromAddress: "addresses_refused",
    errors.MessageTooLarge: "too_large",
    errors.TooManyChannels: "channels_refused",
    errors.PresenceFull: "members_refused",
    errors.ClientEventRefused: "whispers_refused",
}


@dataclass(slots=True)
class Counters:
    """What one node has done since it began."""

    opened: int = 0
    """Connections that completed the handshake."""

    refused: int = 0
    """Connections that did not."""

    handshakes_shed: int = 0
    """Of those, the ones that were too many for their second."""

    subscriptions_shed: int = 0
    """Sockets ended because their first subscription was one too many for its second."""

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

    heads_too_many: int = 0
    """HTTP connections ended because of too many requests that waited for an answer."""

    unread_held: int = 0
    """Times that a socket was not heard until it read the answers it had asked for."""

    over_capacity: int = 0
    """Connections refused since their application held as many as it may."""

    origins_refused: int = 0
    """Connections refused since pages of their origin may not connect."""

    addresses_refused: int = 0
    """Connections refused since there were as many from their address as there may be."""

    too_large: int = 0
    """Sockets ended because of a message that was too large."""

    held_back: int = 0
    """Messages behind which a socket had to wait, since it sent more than it may."""

    flooded_closed: int = 0
    """Sockets ended because they went on sending more than they may."""

    channels_refused: int = 0
    """Subscriptions refused since the socket was in as many channels as it may be in."""

    members_refused: int = 0
    """Subscriptions refused since the presence channel had as many members as it may have."""

    whispers_refused: int = 0
    """Client events that were not relayed."""

    def note(self, problem: errors.ProtocolError) -> None:
        """Count what a peer was refused, where that has a number of its own."""
        if (name := _NAMES.get(type(problem))) is not None:
            setattr(self, name, getattr(self, name) + 1)
