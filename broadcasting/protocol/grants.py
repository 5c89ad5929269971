"""Whose a subscription is, as the application signed it into ``channel_data``.

Pure. The signature was verified before anything here is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcasting.protocol import errors, messages
from broadcasting.protocol.names import MAX_USER_ID_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What is known of the answer that let a socket in."""

    user_id: str
    at: int | None = None
    """Milliseconds since 1970 at which the application began to decide; None: not said."""

    session: str | None = None
    """A hash of the session that asked."""


def read_grant(channel_data: str | None) -> Grant | None:
    """Return whose a private subscription is, or None where the application did not say so.

    Another program's ``channel_data`` may hold anything, which is no mistake.
    """
    if not channel_data:
        return None
    try:
        data = messages.decode_json(channel_data)
    except errors.InvalidMessage:
        return None
    if not isinstance(data, Mapping):
        return None
    user_id, at, session = data.get("user_id"), data.get("at"), data.get("session")
    if isinstance(user_id, int) and not isinstance(user_id, bool):
        user_id = str(user_id)
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_ID_LENGTH:
        return None
    return Grant(
        user_id=user_id,
        at=at if _is_time(at) else None,
        session=session if isinstance(session, str) else None,
    )


def _is_time(at: Any) -> bool:
    return isinstance(at, int) and not isinstance(at, bool)
