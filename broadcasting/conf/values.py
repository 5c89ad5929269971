"""What ``BROADCASTING`` holds, as values with every default beside its meaning.

Knows nothing of how they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """One ``{"BACKEND": ..., "OPTIONS": {...}}`` entry."""

    backend: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """``BROADCASTING["SERVER"]``: the processes that hold sockets. Durations in seconds."""

    public_url: str | None = None
    """Where browsers find the sockets, e.g. ``https://ws.example.com``; None: the site itself."""

    path: str = ""
    """Prefix of ``/app/{key}`` and ``/apps/{id}/...``, e.g. ``/realtime``."""

    activity_timeout: float = 120
    """Silence after which the server pings; also told to clients (rounded up to a second)."""

    pong_timeout: float = 30
    """Wait for the answer to a ping before the socket is closed with 4201; and for a peer to
    read that it is closed before it is cut off."""

    handshake_timeout: float = 10
    """Wait for the rest of a request's headers before its connection is closed."""

    max_head_bytes: int = 16_384
    """Bytes of a request before its body; more are answered with 431."""

    max_frame_bytes: int = 1_048_576
    """Bytes of one message that is read at all, whatever the application allows; a longer one
    ends the socket with 1009. Daphne has a limit of its own."""

    max_connections_per_ip: int | None = None
    """Sockets of one address (of IPv6, a network of 64 bits) in one process; one more is refused
    with 4100. None: no limit."""

    trusted_proxies: Sequence[str] = ()
    """Addresses and networks of proxies on other machines, whose ``X-Forwarded-For`` counts."""

    subscription_count_interval: float = 5
    """A channel of more than 100 connections tells its count no more often than this."""

    revocation_ttl: float = 3600
    """How long a revocation is remembered; signed answers that are older are not taken."""

    outbox_bytes: int = 1_048_576
    """Bytes waiting for one slow socket before ``slow_policy`` applies."""

    slow_policy: Literal["close", "drop"] = "close"
    """``close``: end the socket with 4100, the client returns; ``drop``: lose the frame."""

    drain_delay: float = 0
    """How long a server that is told to stop says that it is not ready before it sends anybody
    away: as long as a load balancer takes to notice."""

    drain_rate: int = 1_000
    """Sockets that a stopping server sends away in one second; more, where they would take
    longer than half of ``drain_seconds``."""

    drain_seconds: float = 30
    """How long a stopping server waits for its sockets to close."""

    max_loop_lag: float = 1
    """Lateness of the event loop beyond which the server is not ready."""

    max_handshakes_per_second: int | None = 5_000
    """Sockets that one process takes in a second; more are told to return after one."""

    max_subscriptions_per_second: int | None = 20_000
    """Subscriptions that it takes in a second before it tells newcomers to return after one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationSettings:
    """``BROADCASTING["AUTHORIZATION"]``: who asks for signatures, and how they prove it."""

    csrf: bool = False
    """Whether the auth views demand Django's CSRF token (``X-CSRF-TOKEN`` is accepted too)."""

    guards: Sequence[str] = ("session",)
    """Ways to find the user of a request: ``"session"`` or dotted paths to callables."""

    user_channel: bool = True
    """Whether users may join their own private channel without a rule of the project."""

    revoke_on: Sequence[str] = ("logout", "password_change", "deactivation")
    """What ends the connections of a user: any of these three, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """``BROADCASTING["WEBHOOKS"]``: how endpoints are told. Durations in seconds."""

    batch_seconds: float = 0.05
    """How long occurrences are gathered for one request; 0 sends each in a request of its own."""

    batch_size: int = 100
    """Occurrences in one request at most."""

    grace: float = 3
    """Wait before a channel counts as vacated or a member as gone; who returns never left."""

    timeout: float = 10
    """Wait for an endpoint's answer."""

    first_retry: float = 1
    """Wait before a request that failed is repeated; each further wait is twice as long."""

    retry_seconds: float = 300
    """Age at which a request that still fails is given up."""

    max_waiting: int = 10_000
    """Occurrences that may wait in one server process; beyond that the newest of the endpoint
    with the most are dropped."""

    queue: str | None = None
    """Where the jobs of webhooks wait; None: where the broadcasts do."""

    log: bool = True
    """Whether deliveries are kept in the database, to be looked at, replayed, and taken from
    there by workers."""

    log_days: float = 7
    """Age in days at which they are removed from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``BROADCASTING`` with every default filled in."""

    broadcasters: Mapping[str, BackendSettings]
    default_broadcaster: str = "default"
    queue: BackendSettings = BackendSettings(backend="sync")
    applications: Sequence[Mapping[str, Any]] | str | None = field(default=None, repr=False)
    """One dict each; None: one application whose secret is derived from ``SECRET_KEY``."""

    backplane: BackendSettings = BackendSettings(backend="local")
    registry: BackendSettings = BackendSettings(backend="memory")
    """Left out with the backplane ``redis``: ``redis``, too."""

    publish_timeout: float = 0.25
    """Seconds that one publish may wait for the backplane or the broker."""

    cache_ttl: float = 1800
    """Seconds for which cache channels keep their last event."""

    rescue: bool = False
    """Whether a failed publish is logged and counted instead of raised."""

    server: ServerSettings = ServerSettings()
    webhooks: WebhookSettings = WebhookSettings()
    authorization: AuthorizationSettings = AuthorizationSettings()
