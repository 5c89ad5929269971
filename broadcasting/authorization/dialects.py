"""What different clients are answered: those of Pusher's protocol, and servers of Socket.IO.

Those of Ably have a module of their own.

The rules are asked alike for all of them. Which dialect is spoken is a property of the
broadcaster, since its server is what the clients connect to.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from broadcasting.authorization.answers import (
    Asked,
    Signer,
    find_signer,
    member_data,
    sign_encrypted,
    sign_presence,
    sign_private,
)
from broadcasting.authorization.guards import Identity
from broadcasting.authorization.outcomes import Refused
from broadcasting.authorization.requests import MAX_BYTES_OF_ONE
from broadcasting.broadcasters import broadcasters
from broadcasting.conf import get_settings
from broadcasting.encoding import encode
from broadcasting.encryption import channel_key
from broadcasting.exceptions import EncryptionUnavailable
from broadcasting.protocol.names import MAX_NAME_LENGTH, ChannelKind, is_socket_id, kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A visitor whom a rule let in."""

    channel: str
    """Its wire name."""

    socket_id: str
    user: Any
    result: Any
    """What the rule returned."""

    asked: Asked
    info: Mapping[str, Any]
    """What the others of a presence channel may see; empty for other kinds."""


class Dialect(ABC):
    """How one kind of client names channels, and what it understands as an answer."""

    names_socket: ClassVar[bool] = True
    """Whether a request must say which connection wants to join: it is part of what is signed."""

    greets: ClassVar[bool] = False
    """Whether there is an answer for clients that name no channel yet, see greet()."""

    max_bytes: ClassVar[int] = MAX_BYTES_OF_ONE
    """What a request for one channel may take."""

    max_name_length: int = MAX_NAME_LENGTH

    def asked_with(self, fields: Mapping[str, Any]) -> Dialect:
        """Return the dialect of a request with these fields. Raises BadRequest."""
        return self

    def greet(self, name: str, identity: Identity) -> Mapping[str, Any] | None:
        """Return the answer to what no rule decides about; None if a rule does."""
        return None

    def check_socket(self, socket_id: str) -> None:
        """Raise Refused for what is no socket id."""
        if self.names_socket and not is_socket_id(socket_id):
            raise Refused("the socket id is malformed", status=400)

    def wire_name(self, name: str) -> str:
        """Return the wire name of what the client calls ``name``. Not validated yet."""
        return name

    def check(self, channel: str) -> None:  # noqa: B027
        """Raise Refused for what nobody could join, before any rule is asked."""

    @abstractmethod
    def answer(self, admission: Admission) -> Mapping[str, Any]:
        """Return what lets the client in. Raises Refused, or PayloadError."""


class PusherDialect(Dialect):
    """Clients of Pusher's protocol show their server what was signed for their connection."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.max_name_length = signer.application.max_channel_name_length

    def check(self, channel: str) -> None:
        if kind_of(channel) is not ChannelKind.ENCRYPTED:
            return
        try:
            # Whatever a rule says, the client could read nothing.
            channel_key(self.signer.application, channel)
        except EncryptionUnavailable as error:
            raise Refused(str(error)) from error

    def answer(self, admission: Admission) -> Mapping[str, Any]:
        socket_id, channel, user = admission.socket_id, admission.channel, admission.user
        match kind_of(channel):
            case ChannelKind.PRESENCE:
                return sign_presence(self.signer, socket_id, channel, user, admission.info)
            case ChannelKind.ENCRYPTED:
                return sign_encrypted(self.signer, socket_id, channel, user, admission.asked)
            case _:
                return sign_private(self.signer, socket_id, channel, user, admission.asked)


class SocketIoDialect(Dialect):
    """The server asks for its clients, with their cookies, and believes what it is told.

    So nothing is signed, and nothing of an answer is of use to anybody else.
    """

    names_socket: ClassVar[bool] = False

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def check_socket(self, socket_id: str) -> None:
        """Whatever is said of it means nothing here."""

    def wire_name(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def check(self, channel: str) -> None:
        if kind_of(channel) is ChannelKind.ENCRYPTED:
            raise Refused("clients of Socket.IO cannot decrypt")

    def answer(self, admission: Admission) -> Mapping[str, Any]:
        if kind_of(admission.channel) is not ChannelKind.PRESENCE:
            return {}
        # By way of our own encoder, which knows what Django's does not.
        member = json.loads(encode(member_data(admission.user, admission.info)))
        return {"channel_data": member}


ELSEWHERE = {"ably": "broadcasting.authorization.ably.AblyDialect"}
"""Those that need an extra, by the dotted path of what makes them of their broadcaster."""


def find_dialect(via: str | None = None) -> Dialect:
    """Return what the clients of the broadcaster ``via`` speak; None: of the default one.

    Raises ImproperlyConfigured.
    """
    alias = via or get_settings().default_broadcaster
    if alias not in get_settings().broadcasters:
        return PusherDialect(find_signer())
    broadcaster = broadcasters[alias]
    match broadcaster.dialect:
        case "pusher":
            return PusherDialect(find_signer(alias))
        case "socket.io":
            return SocketIoDialect(broadcaster.options.get("prefix") or "")
        case unknown if unknown in ELSEWHERE:
            made: Dialect = import_string(ELSEWHERE[unknown])(broadcaster)
            return made
        case unknown:
            raise ImproperlyConfigured(f"The broadcaster {alias!r} speaks no dialect {unknown!r}")
