"""How long names may be where an event goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broadcasting.exceptions import InvalidChannelName, InvalidEventName
from broadcasting.protocol.names import user_of

if TYPE_CHECKING:
    from broadcasting.broadcasts import Broadcast


def check_names(broadcast: Broadcast, *, channel: int, event: int) -> None:
    """Raise InvalidEventName or InvalidChannelName for a name with more characters than these."""
    if len(broadcast.name) > event:
        raise InvalidEventName(f"{broadcast.name!r} has more than {event} characters")
    for name in broadcast.channels:
        # A user's own channel is as long as the id asks for.
        if len(name) > channel and user_of(name) is None:
            raise InvalidChannelName(f"{name!r} has more than {channel} characters")
