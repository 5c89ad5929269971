"""A tenant of the server: its credentials, switches and limits. A value, nothing more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application, as ``APPLICATIONS`` describes it (Pusher calls it an app)."""

    id: str
    key: str
    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    """A retired secret that still verifies, while clients move to the new one."""

    name: str = ""
    enabled: bool = True
    require_tls: bool = False
    capacity: int | None = None
    """Sockets this application may hold at once in one process; ``None`` for no limit."""

    allowed_origins: tuple[str, ...] | None = None
    """``None``: derived from ``ALLOWED_HOSTS`` and ``CSRF_TRUSTED_ORIGINS``; ``("*",)``: any."""

    enable_client_events: bool | Literal["members"] = False
    """Whether clients may whisper. ``"members"`` is what Reverb calls its strict mode;
    whispering always needs a subscription here, so it means the same as ``True``."""

    enable_statistics: bool = True
    webhooks: tuple[dict[str, Any], ...] = ()

    max_message_size: int = 65_536
    """Bytes of one frame from a client; a longer one ends the socket with 1009."""

    max_event_payload_kb: int = 10
    """Kilobytes (1,024 bytes) of an event's ``data``, counted as UTF-8."""

    max_event_name_length: int = 200
    max_channel_name_length: int = 200
    max_event_channels_at_once: int = 100
    max_event_batch_size: int = 10
    max_client_events_per_second: int | None = 10
    """Per socket; ``None`` for no limit."""

    max_presence_members_per_channel: int = 100
    """Users, not sockets: a second socket of a member is always let in."""

    max_presence_member_size_kb: int = 1
    """Kilobytes of one member's ``user_info``, as JSON."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that verifies, newest first."""
        return (self.secret, self.previous_secret) if self.previous_secret else (self.secret,)
