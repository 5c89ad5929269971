"""What comes of asking for a channel: a value for whoever asked, and how to refuse."""

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
class Decision:
    """Whether one channel may be joined, and why not."""

    channel: str
    status: int
    """200 allowed, 400 malformed, 403 refused, 500 a rule failed."""

    reason: str = ""
    """Why not. For logs and developers; it may name code and must not reach visitors."""

    answer: Mapping[str, str] | None = None
    """What the client needs to subscribe: ``auth`` and mostly ``channel_data``."""

    user_info: Mapping[str, Any] | None = None
    """What the others of a presence channel see of this member, as the rule returned it."""

    error: Exception | None = None
    """What a rule raised, when the status is 500."""

    @property
    def allowed(self) -> bool:
        return self.status == 200

    @property
    def denied(self) -> bool:
        return not self.allowed
