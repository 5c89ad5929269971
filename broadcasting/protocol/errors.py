"""What a peer can do wrong, each with its code once.

pusher-js decides by the *close* code: 40xx and everything from 4300 up gives up for
good, 41xx comes back after a second, 42xx at once. So a 43xx only ever travels inside a
``pusher:error`` event, and ``close_code`` is set only where the socket must end.

::

    ProtocolError
     +- HandshakeRefused         the socket is told why and closed (4000-4009, 4100, 4200)
     +- MessageTooLarge          closed with 1009
     +- BinaryFrame              closed with 1003
     +- InvalidMessage           answered in band, the socket stays
     +- SubscriptionRefused      answered in band for one channel, the socket stays
     +- SigninRefused            answered in band, the socket stays
     +- WatchlistTooLong         told in band, the sign-in counts all the same
     +- ClientEventRefused       answered in band, the socket stays
"""

from __future__ import annotations


class ProtocolError(Exception):
    """A peer broke the protocol; ``message`` is safe to show to that peer."""

    code: int | None = None
    """The number in the ``pusher:error`` event; ``None`` as Pusher has it for malformed input."""

    close_code: int | None = None
    """The WebSocket close code, where the socket cannot go on."""

    message = "Protocol error"
    channel: str | None = None

    def __init__(self, message: str | None = None, *, channel: str | None = None) -> None:
        if message is not None:
            self.message = message
        if channel is not None:
            self.channel = channel
        super().__init__(self.message)


class HandshakeRefused(ProtocolError):
    """The socket may not stay; told by ``pusher:error``, then closed with the same code."""

    code: int

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)
        self.close_code = self.code


class TlsOnly(HandshakeRefused):
    code = 4000
    message = "Application only accepts TLS connections, reconnect using wss://"


class UnknownApplication(HandshakeRefused):
    code = 4001
    message = "Application does not exist"


class ApplicationDisabled(HandshakeRefused):
    code = 4003
    message = "Application disabled"


class OverCapacity(HandshakeRefused):
    code = 4004
    message = "Application is over its connection quota"


class InvalidVersion(HandshakeRefused):
    code = 4006
    message = "Invalid protocol version string"


class UnsupportedVersion(HandshakeRefused):
    code = 4007
    message = "Unsupported protocol version"


class OriginRefused(HandshakeRefused):
    code = 4009
    message = "Origin not allowed"


class NotAuthorizedInTime(HandshakeRefused):
    code = 4009
    message = "Connection not authorized in time: sign in, or join a private or presence channel"


class Terminated(HandshakeRefused):
    """Every connection of a user was ended; a client stays away until it is told to connect."""

    code = 4009
    message = "The connections of this user were terminated"


class TryAgain(HandshakeRefused):
    """The client returns after a second or more."""

    code = 4100
    message = "Temporarily unavailable, reconnect later"


class Reconnect(HandshakeRefused):
    """The client returns at once; used while a node stops."""

    code = 4200
    message = "Server is shutting down, reconnect"


class TerminatedForNow(Reconnect):
    """See Terminated; but the client returns at once, and has to sign in anew."""

    message = "The connections of this user were terminated, reconnect"


class AuthorizeAnew(Reconnect):
    """An answer that says neither when nor for whom it was signed, perhaps before a revocation.

    On a new socket only new answers are good.
    """

    message = "Access was revoked: reconnect and authorize anew"


class TooManyUsers(Reconnect):
    """Each user that a socket was once of is kept as long as it lives."""

    message = "This connection was of too many users: reconnect and authorize anew"


class SendsTooMuch(TryAgain):
    message = "Sends more messages than it may, reconnect later"


class TooManyFromAddress(TryAgain):
    message = "Too many connections from this address, reconnect later"


class LoggedOut(TryAgain):
    """See Terminated; the client returns after a second, when the session is gone for sure."""

    message = "The session of this connection ended, reconnect later"


class PongTimeout(HandshakeRefused):
    code = 4201
    message = "Pong reply not received in time"


class MessageTooLarge(ProtocolError):
    close_code = 1009
    message = "Message is too large"


class BinaryFrame(ProtocolError):
    close_code = 1003
    message = "Binary frames are not part of the protocol"


class InvalidMessage(ProtocolError):
    """Not JSON, not an object, an unknown event or missing fields."""

    message = "Invalid message"


class SubscriptionRefused(ProtocolError):
    """One subscription failed.

    pusher-js shows ``pusher:error`` on the connection; Echo's ``.error()`` listens to
    ``pusher:subscription_error`` on the channel only. The peer is sent both.
    """

    code: int | None = 4009
    kind = "AuthError"
    status = 401
    message = "Subscription refused"


class AccessRevoked(SubscriptionRefused):
    """The user may not be in the channel any more; a new answer lets the client in again."""

    status = 403
    message = "Access to this channel was revoked"


class InvalidChannel(SubscriptionRefused):
    code = None
    kind = "InvalidChannel"
    status = 400
    message = "Invalid channel name"


class InvalidMember(SubscriptionRefused):
    code = None
    kind = "InvalidMember"
    status = 400
    message = "Presence channels need channel_data with a user_id"


class PresenceFull(SubscriptionRefused):
    code = 4100
    kind = "LimitReached"
    status = 4100
    message = "The presence channel is full"


class SigninRefused(ProtocolError):
    code = 4009
    message = "Sign-in refused"


class WatchlistTooLong(ProtocolError):
    code = 4302
    message = "The watchlist is too long"


class TooManyChannels(SubscriptionRefused):
    code = 4100
    kind = "LimitReached"
    status = 4100
    message = "This connection is in as many channels as it may"


class ClientEventRefused(ProtocolError):
    code = 4301
    message = "Client event rejected"
