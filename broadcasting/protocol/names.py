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
USER_PREFIX = "#server-to-user-"
"""In front of a user id: the channel of all sockets that user is signed in on."""

CACHE = "cache-"
"""After the prefix of a kind: the channel keeps its last event."""

_UNQUOTABLE = re.compile(r"[^A-Za-z0-9_@,;-]+")
_QUOTED = re.compile(r"(?:=[0-9A-F]{2})+")
_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]+")
_SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class ChannelKind(Enum):
    """What a channel's prefix asks for. Each comes with a cache as well, see is_cache()."""

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
    # Nearly every name needs one look: only two kinds begin alike.
    if channel.startswith("private-"):
        encrypted = channel.startswith("private-encrypted-")
        return ChannelKind.ENCRYPTED if encrypted else ChannelKind.PRIVATE
    return ChannelKind.PRESENCE if channel.startswith("presence-") else ChannelKind.PUBLIC


def is_cache(channel: str) -> bool:
    """Whether ``channel`` keeps its last event for those who come later."""
    # Hardly any name holds the word at all, and every envelope asks.
    return CACHE in channel and channel.startswith(CACHE, len(kind_of(channel).value))


def base_name(channel: str) -> str:
    """Return ``channel`` without the prefixes of its kind, as authorization rules see it."""
    return channel[len(kind_of(channel).value) :].removeprefix(CACHE)


def quote(text: str) -> str:
    """Return ``text`` in letters that any channel name may have, as one part of it: no dots.

    Whatever else there is becomes ``=`` and two hexadecimal digits for each of its bytes.
    """
    return _UNQUOTABLE.sub(lambda found: "".join(f"={b:02X}" for b in found[0].encode()), text)


def unquote(quoted: str) -> str:
    """Return what quote() was given. Raises ValueError for what it would not have written."""
    text = _QUOTED.sub(lambda found: bytes.fromhex(found[0].replace("=", "")).decode(), quoted)
    if quote(text) != quoted:
        raise ValueError(f"{quoted!r} is not quoted text")
    return text


def is_channel_name(name: object, max_length: int = MAX_NAME_LENGTH) -> bool:
    """Whether ``name`` is text of Pusher's alphabet, 1 to ``max_length`` characters."""
    return (
        isinstance(name, str) and len(name) <= max_length and _CHANNEL.fullmatch(name) is not None
    )


def is_user_id(user_id: object) -> bool:
    """Whether ``user_id`` is text of 1 to 128 characters, none of them a control character."""
    return (
        isinstance(user_id, str)
        and 0 < len(user_id) <= MAX_USER_ID_LENGTH
        and _CONTROL.search(user_id) is None
    )


def user_channel(user_id: str) -> str:
    """Return the channel that reaches every socket ``user_id`` is signed in on."""
    return f"{USER_PREFIX}{user_id}"


def user_of(channel: str) -> str | None:
    """Return whose channel this is, or None for a channel that is nobody's own."""
    if not channel.startswith(USER_PREFIX):
        return None
    user_id = channel[len(USER_PREFIX) :]
    return user_id if is_user_id(user_id) else None


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
