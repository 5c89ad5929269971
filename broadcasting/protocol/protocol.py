"""The state of one connection: what it joined, when it was last heard, what it may do.

Pure: time comes in as seconds of any steady clock, signatures are checked against the
application passed in, and whatever the peer did wrong is raised. Knows no sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcasting.protocol import errors, messages
from broadcasting.protocol.application import Application
from broadcasting.protocol.grants import Grant, read_grant
from broadcasting.protocol.messages import ClientEvent, ClientMessage, Signin, Subscribe
from broadcasting.protocol.names import (
    MAX_USER_ID_LENGTH,
    USER_PREFIX,
    ChannelKind,
    is_channel_name,
    is_user_id,
    kind_of,
    user_channel,
)
from broadcasting.protocol.pacing import Pace
from broadcasting.protocol.ratelimit import TokenBucket
from broadcasting.protocol.signing import channel_text, user_text, verify_authorization

SUPPORTED_VERSIONS = range(4, 8)

MAX_WATCHLIST = 100
"""Users that one connection may watch (Pusher's limit); those behind are not watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a presence channel, as its ``channel_data`` says."""

    user_id: str
    user_info: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom a connection belongs to, as its sign-in says."""

    id: str
    info: Any = None
    watchlist: tuple[str, ...] = ()
    """The ids of users whose coming and going this one wants to know; ``MAX_WATCHLIST`` at most."""

    watchlist_was_cut: bool = False
    """Whether there were more."""


def check_version(version: str | None) -> None:
    """Raise for a protocol version this server does not speak; none at all means 7."""
    if version is None:
        return
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise errors.InvalidVersion
    if int(version) not in SUPPORTED_VERSIONS:
        raise errors.UnsupportedVersion


def check_application(application: Application | None, *, secure: bool) -> Application:
    """Return ``application`` if a socket may open for it; ``secure``: it came over TLS."""
    if application is None:
        raise errors.UnknownApplication
    if not application.enabled:
        raise errors.ApplicationDisabled
    if application.require_tls and not secure:
        raise errors.TlsOnly
    return application


class Protocol:
    """One connection's side of the conversation."""

    __slots__ = (
        "_whispers",
        "application",
        "authorized",
        "demanded_at",
        "grants",
        "last_seen",
        "owners",
        "pace",
        "pinged_at",
        "socket_id",
        "subscriptions",
        "user",
    )

    def __init__(self, application: Application, socket_id: str, now: float) -> None:
        self.application = application
        self.socket_id = socket_id
        self.demanded_at = now
        """Since when the application waits to be told whose this connection is."""

        self.grants: dict[str, Grant] = {}
        """Of channels that were joined, those of which is known whose the subscription is."""

        self.owners: tuple[str, ...] = ()
        """The ids of users to whom this connection was ever shown to belong."""

        self.last_seen = now
        self.pace = Pace()
        self.pinged_at: float | None = None
        self.subscriptions: dict[str, Member | None] = {}
        self.user: User | None = None
        self.authorized = False
        """Whether the peer has shown any good signature, for a channel or a user."""

        self._whispers: TokenBucket | None = None

    @property
    def own_channel(self) -> str | None:
        """The channel of the user that this connection is signed in as."""
        return None if self.user is None else user_channel(self.user.id)

    def adopt(self, application: Application, now: float) -> None:
        """Go on under what changed of the application: its limits, switches and secrets."""
        if not self.application.enable_user_authentication:
            self.demanded_at = now  # who came before it was demanded has its time, too
        self.application = application
        self._whispers = None

    def receive(self, text: str, now: float) -> ClientMessage:
        """Return the message in a text frame. Any frame at all proves the peer alive."""
        self.last_seen = now
        self.pinged_at = None
        # Characters first: most frames are far below the limit and need no second copy.
        limit = self.application.max_message_size
        if len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit:
            raise errors.MessageTooLarge
        return messages.decode(text)

    def hear(self, at: float) -> None:
        """Note that the peer was heard below the messages, at a time that may be over."""
        self.last_seen = max(self.last_seen, at)
        # A loop's clock may stand still for a millisecond: the answer is as old as the question.
        if self.pinged_at is not None and at >= self.pinged_at:
            self.pinged_at = None

    def authorize(self, message: Subscribe) -> Member | None:
        """Return who joins (presence) or None (the rest); raise SubscriptionRefused."""
        channel = message.channel
        if channel.startswith(USER_PREFIX):
            self._check_own(channel)
            return None
        if not is_channel_name(channel, self.application.max_channel_name_length):
            raise errors.InvalidChannel(channel=channel[: self.application.max_channel_name_length])
        self._check_room(channel)
        kind = kind_of(channel)
        if not kind.guarded:
            return None
        text = channel_text(self.socket_id, channel, message.channel_data)
        if not verify_authorization(self.application, text, message.auth):
            raise errors.SubscriptionRefused(
                f"Invalid signature for {channel}: it must be 'key:signature', made with this"
                " application's secret for this socket id, channel and channel_data",
                channel=channel,
            )
        self.authorized = True
        return self._member(message) if kind is ChannelKind.PRESENCE else None

    def grant(self, message: Subscribe, member: Member | None) -> Grant | None:
        """Return whose an authorized subscription is, if the application said so."""
        if member is not None:
            return Grant(user_id=member.user_id)
        return read_grant(message.channel_data) if kind_of(message.channel).guarded else None

    def sign_in(self, message: Signin) -> User:
        """Return the user of a sign-in; raise SigninRefused."""
        text = user_text(self.socket_id, message.user_data)
        if not verify_authorization(self.application, text, message.auth):
            raise errors.SigninRefused(
                "Invalid signature: it must be 'key:signature', made with this application's"
                " secret for this socket id and user_data"
            )
        user = _read_user(message.user_data)
        if self.user is not None and self.user.id != user.id:
            raise errors.SigninRefused("This connection is signed in as another user")
        self.authorized = True
        return user

    def check_client_event(self, message: ClientEvent, now: float) -> str | None:
        """Return the sender's user id (presence) or None; raise if it may not be relayed."""
        problem = self._client_event_problem(message)
        if problem is None and not self._whisper_allowed(now):
            problem = f"more than {self.application.max_client_events_per_second} a second"
        if problem is not None:
            channel = message.channel[: self.application.max_channel_name_length]
            raise errors.ClientEventRefused(f"Client event rejected: {problem}", channel=channel)
        member = self.subscriptions[message.channel]
        return member.user_id if member else None

    def is_unauthorized(self, now: float) -> bool:
        """Whether the application wants to know whose the peer is, and has waited long enough."""
        application = self.application
        demanded = application.enable_user_authentication and not self.authorized
        return demanded and now - self.demanded_at >= application.user_authentication_timeout

    def needs_ping(self, now: float, activity_timeout: float) -> bool:
        """Whether the peer has been silent for so long that the server should ask."""
        return self.pinged_at is None and now - self.last_seen >= activity_timeout

    def is_stale(self, now: float, pong_timeout: float) -> bool:
        """Whether the peer was asked and stayed silent."""
        return self.pinged_at is not None and now - self.pinged_at >= pong_timeout

    def _client_event_problem(self, message: ClientEvent) -> str | None:
        application, channel = self.application, message.channel
        if not application.enable_client_events:
            return "client events are not enabled for this application"
        if kind_of(channel) not in (ChannelKind.PRIVATE, ChannelKind.PRESENCE):
            return "only private and presence channels carry client events"
        if channel not in self.subscriptions:
            return "not subscribed to the channel"
        if len(message.event) > application.max_event_name_length:
            return f"the name is longer than {application.max_event_name_length} characters"
        if _size(message.data) > application.max_event_payload_kb * 1024:
            return f"the data is larger than {application.max_event_payload_kb} KB"
        return None

    def _whisper_allowed(self, now: float) -> bool:
        limit = self.application.max_client_events_per_second
        if limit is None:
            return True
        if self._whispers is None:
            self._whispers = TokenBucket(limit, now)
        return self._whispers.allow(now)

    def _check_room(self, channel: str) -> None:
        limit = self.application.max_channels_per_connection
        is_full = limit is not None and len(self.subscriptions) >= limit
        if is_full and channel not in self.subscriptions:
            raise errors.TooManyChannels(
                f"This connection is in {limit} channels, as many as it may", channel=channel
            )

    def _check_own(self, channel: str) -> None:
        if channel != self.own_channel:
            limit = len(USER_PREFIX) + MAX_USER_ID_LENGTH
            raise errors.SubscriptionRefused(
                "This channel is for connections that are signed in as its user",
                channel=channel[:limit],
            )

    def _member(self, message: Subscribe) -> Member:
        channel = message.channel
        if not message.channel_data and self.user is not None:
            return self._sized(Member(user_id=self.user.id, user_info=self.user.info), channel)
        try:
            data = messages.decode_json(message.channel_data or "null")
        except errors.InvalidMessage:
            raise errors.InvalidMember("channel_data is not JSON", channel=channel) from None
        user_id = data.get("user_id") if isinstance(data, Mapping) else None
        # Laravel sends numbers; ids are strings everywhere else (bool is an int in Python).
        if isinstance(user_id, int) and not isinstance(user_id, bool):
            user_id = str(user_id)
        if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_ID_LENGTH:
            raise errors.InvalidMember(
                f"channel_data must have a 'user_id' of 1 to {MAX_USER_ID_LENGTH} characters",
                channel=channel,
            )
        return self._sized(Member(user_id=user_id, user_info=data.get("user_info")), channel)

    def _sized(self, member: Member, channel: str) -> Member:
        limit = self.application.max_presence_member_size_kb
        if _size(member.user_info) > limit * 1024:
            raise errors.InvalidMember(f"user_info is larger than {limit} KB", channel=channel)
        return member


def _read_user(user_data: str) -> User:
    try:
        data = messages.decode_json(user_data)
    except errors.InvalidMessage:
        raise errors.SigninRefused("user_data is not JSON") from None
    user_id = data.get("id") if isinstance(data, Mapping) else None
    # Unlike members' ids, which Laravel sends as numbers: clients refuse any other here.
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise errors.SigninRefused(
            f"user_data must have an 'id' that is a string of 1 to {MAX_USER_ID_LENGTH} characters"
        )
    watchlist = data.get("watchlist") or ()
    if not isinstance(watchlist, list | tuple) or not all(map(is_user_id, watchlist)):
        raise errors.SigninRefused("'watchlist' of user_data must be a list of user ids")
    watched = tuple(dict.fromkeys(watchlist))
    return User(
        id=user_id,
        info=data.get("user_info"),
        watchlist=watched[:MAX_WATCHLIST],
        watchlist_was_cut=len(watched) > MAX_WATCHLIST,
    )


def _size(data: Any) -> int:
    """Return the bytes of ``data`` on the wire: a string as it is, the rest as JSON."""
    text = data if isinstance(data, str) else messages.encode(data)
    return len(text.encode("utf-8", "surrogatepass"))
