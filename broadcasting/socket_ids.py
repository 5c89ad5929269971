"""The ids that clients of each kind give their connections, as ``X-Socket-ID`` brings them.

Headers are untrusted input, and clients send "undefined" before they are connected: what has
none of these forms is nobody's id. Each driver leaves out those of its own clients only.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field

from broadcasting.protocol.names import is_socket_id

MAX_LENGTH = 1024

# engine.io: 15 bytes in base64 for URLs; Socket.IO 2 puts the namespace in front.
_SOCKET_IO = re.compile(r"(?:/[A-Za-z0-9_\-/]{0,100}#)?[A-Za-z0-9_-]{20}")
_BASE64 = re.compile(r"[A-Za-z0-9_-]+={0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AblySocket:
    """A connection to Ably, as its own client names it."""

    connection_key: str = field(repr=False)
    client_id: str | None


def is_known(text: object) -> bool:
    """Whether ``text`` has the form of the ids of any kind of client."""
    return is_socket_id(text) or is_socket_io_id(text) or read_ably_id(text) is not None


def is_socket_io_id(text: object) -> bool:
    """Whether ``text`` has the form of Socket.IO's ids."""
    return isinstance(text, str) and _SOCKET_IO.fullmatch(text) is not None


def read_ably_id(text: object) -> AblySocket | None:
    """Return what an id of Ably's own client says: JSON in base64 for URLs; None if it is none."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH or not _BASE64.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        said = json.loads(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    match said:
        case {"connectionKey": str(key), "clientId": str() | None as client_id} if key:
            return AblySocket(connection_key=key, client_id=client_id)
    return None
