"""What comes of asking: a value for whoever asked, for a channel or a sign-in; how to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Refused(Exception):
    """Ends the asking; the message is the reason, for the log."""

    def __init__(self, reason: str, *, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether something is allowed, and why not."""

    status: int
    """200 allowed, 400 malformed, 403 refused, 500 the project's own code failed."""

    reason: str = ""
    """Why not. For logs and developers; it may name code and must not reach visitors."""

    answer: Mapping[str, Any] | None = None
    """What the client needs to go on, signed where it understands signatures."""

    error: Exception | None = None
    """What a rule or resolver raised, when the status is 500."""

    @property
    def allowed(self) -> bool:
        return self.status == 200

    @property
    def denied(self) -> bool:
        return not self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Outcome):
    """Whether one channel may be joined.

    For clients of Pusher's protocol ``answer`` has ``auth``, mostly ``channel_data``, and for an
    encrypted channel ``shared_secret``.
    """

    channel: str
    user_info: Mapping[str, Any] | None = None
    """What the others of a presence channel see of this member, as the rule returned it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification(Outcome):
    """Whether a connection may sign in, and as whom.

    Its ``answer`` has ``auth`` and ``user_data``.
    """

    user_data: Mapping[str, Any] | None = None
    """What is signed: ``id``, and whatever else the resolver returned."""
