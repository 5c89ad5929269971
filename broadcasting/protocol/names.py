"""The grammar of channel names, event names and socket ids (Pusher's naming rules).

Prefixes count with their hyphen and the longest one wins: ``privateer`` is a public
channel, ``private-eer`` is not.
"""

from __future__ import annotations

import re
from enum import Enum

MAX_NAME_LENGTH = 200
"""Characters in a channel or event name. Pusher documents 164 for channels; its
libraries and the other servers take 200."""

MAX_USER_ID_LENGTH = 128

CLIENT_PREFIX = "client-"
RESERVED_PREFIXES = ("pusher:", "pusher_internal:")

_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]+")
_SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")


class ChannelKind(Enum):
    """What a channel's prefix asks for."""

    PUBLIC = ""
    PRIVATE = "private-"
    PRESENCE = "presence-"
    ENCRYPTED = "private-encrypted-"

    @property
    def guarded(self) -> bool:
        """Whether a subscriber must present a signature."""
        return self is not ChannelKind.PUBLIC


def kind_of(channel: str) -> ChannelKind:
    """Return the kind of ``channel`` by its longest matching prefix."""
    for kind in (ChannelKind.ENCRYPTED, ChannelKind.PRIVATE, ChannelKind.PRESENCE):
        if channel.startswith(kind.value):
            return kind
    return ChannelKind.PUBLIC


def base_name(channel: str) -> str:
    """Return ``channel`` without its one kind prefix, as authorization rules see it."""
    return channel[len(kind_of(channel).value) :]


def is_channel_name(name: object, max_length: int = MAX_NAME_LENGTH) -> bool:
    """Whether ``name`` is text of Pusher's alphabet, 1 to ``max_length`` characters."""
    return (
        isinstance(name, str) and len(name) <= max_length and _CHANNEL.fullmatch(name) is not None
    )


def is_event_name(name: object, max_length: int = MAX_NAME_LENGTH) -> bool:
    """Whether a program may publish ``name``: text, not empty, not the protocol's own."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= max_length
        and not name.startswith(RESERVED_PREFIXES)
    )


def is_socket_id(text: object) -> bool:
    """Whether ``text`` is digits, a dot and digits.

    A security boundary: it is part of signed strings, where a colon or a quote would let
    one signature be read as another.
    """
    return isinstance(text, str) and len(text) <= 64 and _SOCKET_ID.fullmatch(text) is not None
