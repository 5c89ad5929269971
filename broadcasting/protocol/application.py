"""A tenant of the server: its credentials, switches and limits. A value, nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One endpoint that is told what occurs in an application."""

    url: str = field(repr=False)  # whoever knows it may post to it
    event_types: frozenset[str] | None = None
    """Names of occurrences, such as ``channel_occupied``; ``None`` for all of them."""

    channel_name_starts_with: str = ""
    channel_name_ends_with: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent along; they cannot replace Pusher's own ``X-Pusher-...``."""

    def wants(self, name: str, channel: str | None) -> bool:
        """Whether this endpoint is told of the occurrence ``name`` in ``channel``."""
        return (self.event_types is None or name in self.event_types) and (
            channel is None
            or (
                channel.startswith(self.channel_name_starts_with)
                and channel.endswith(self.channel_name_ends_with)
            )
        )


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

    enable_subscription_count: bool = False
    """Whether subscribers are told how many connections their channel has."""

    enable_user_authentication: bool = False
    """Whether a connection must sign in or join a private or presence channel to stay."""

    user_authentication_timeout: float = 30
    """Seconds that it has for that."""

    enable_watchlist_events: bool = False
    """Whether users are told when those on their watchlist come and go."""

    encryption_master_key: str | None = field(default=None, repr=False)
    """32 bytes in base64, from which the keys of ``private-encrypted-`` channels are made."""

    enable_statistics: bool = True
    enable_structured_data: bool = False
    """Whether the HTTP API takes ``data`` that is no string, and encodes it as JSON once."""

    enable_replay_protection: bool = False
    """Whether the HTTP API takes each signature of a POST once only."""

    webhooks: tuple[Webhook, ...] = ()

    max_message_size: int = 65_536
    """Bytes of one frame from a client; a longer one ends the socket with 1009."""

    max_channels_per_connection: int | None = 200
    """Channels that one socket may be in at once; ``None`` for no limit, as Pusher has it."""

    max_messages_per_second: int | None = 100
    """Per socket, with bursts of ten seconds' worth; what is too fast waits. ``None``: no limit."""

    max_subscriptions_per_second: int | None = 100
    """The same of subscriptions, which are not counted above; as many at once as channels that a
    socket may be in."""

    max_event_payload_kb: int = 10
    """Kilobytes (1,024 bytes) of an event's ``data``, counted as UTF-8."""

    max_event_name_length: int = 200
    max_channel_name_length: int = 200
    max_event_channels_at_once: int = 100
    max_event_batch_size: int = 10
    max_client_events_per_second: int | None = 10
    """Per socket; ``None`` for no limit."""

    max_backend_events_per_second: int | None = None
    """Events that the HTTP API takes, per server process; ``None`` for no limit."""

    max_read_requests_per_second: int | None = None
    """Reading requests that the HTTP API takes, per server process; ``None`` for no limit."""

    max_presence_members_per_channel: int = 100
    """Users, not sockets: a second socket of a member is always let in."""

    max_presence_member_size_kb: int = 1
    """Kilobytes of one member's ``user_info``, as JSON."""

    @property
    def oldest_secret(self) -> str:
        """The secret that signs webhooks: receivers learn a new one last (Pusher's rule)."""
        return self.previous_secret or self.secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that verifies, newest first."""
        return (self.secret, self.previous_secret) if self.previous_secret else (self.secret,)
