"""What Ably's clients are answered: a signature for its Pusher adapter, a token for its own Echo.

A token grows with each channel that its client enters, and ends when the first one would have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import BadRequest

from broadcasting.authorization.answers import Signer, checked_user_id
from broadcasting.authorization.dialects import Admission, Dialect, PusherDialect
from broadcasting.authorization.guards import Identity, is_authenticated
from broadcasting.authorization.outcomes import Refused
from broadcasting.broadcasters.ably import AblyBroadcaster
from broadcasting.broadcasters.ably.names import PUBLIC, ably_name, wire_name
from broadcasting.broadcasters.ably.tokens import Capability, Grant, MalformedToken
from broadcasting.encoding import encode
from broadcasting.protocol.application import Application
from broadcasting.protocol.names import ChannelKind, is_channel_name, kind_of
from broadcasting.shown import public_values

MAX_BYTES = 64 * 1024

MAX_CAPABILITY = 24 * 1024
"""Characters of what a token may carry on: it is posted with the next question, see MAX_BYTES."""

CAPABILITY = "ably-capability"
"""Key of a rule's result that says what may be done in the channel; left out, everything."""


class AblyDialect(PusherDialect):
    """Clients of the Pusher adapter show it what was signed with Ably's key; others ask anew."""

    max_bytes: ClassVar[int] = MAX_BYTES

    def __init__(self, broadcaster: AblyBroadcaster) -> None:
        key = broadcaster.key
        application = Application(id=key.name, key=key.name, secret=key.secret)
        super().__init__(Signer(application=application, ours=False))
        self.broadcaster = broadcaster

    def asked_with(self, fields: Mapping[str, Any]) -> Dialect:
        # Only the adapter names a socket; a signature is never made without one.
        if "socket_id" in fields and "token" not in fields:
            return self
        token = fields.get("token")
        if token is not None and not isinstance(token, str):
            raise BadRequest("token must be a string")
        if isinstance(fields.get("channel_name"), list):
            raise BadRequest("A token is for one channel at a time")
        return TokenDialect(self.broadcaster, token)


class TokenDialect(Dialect):
    """Clients of Ably's own Echo show Ably a token that says what they may do."""

    names_socket: ClassVar[bool] = False
    greets: ClassVar[bool] = True

    def __init__(self, broadcaster: AblyBroadcaster, token: str | None) -> None:
        self.broadcaster = broadcaster
        self.earlier = token

    def wire_name(self, name: str) -> str:
        return wire_name(name)

    def check(self, channel: str) -> None:
        if kind_of(channel) is ChannelKind.ENCRYPTED:
            raise Refused("the clients of Ably cannot decrypt what this site encrypts")

    def greet(self, name: str, identity: Identity) -> Mapping[str, Any] | None:
        if name and not (name.startswith(PUBLIC) and is_channel_name(name[len(PUBLIC) :])):
            return None
        user = identity.user(identity.guards)
        return {"token": self._token(user, {})}

    def answer(self, admission: Admission) -> Mapping[str, Any]:
        presence = kind_of(admission.channel) is ChannelKind.PRESENCE
        if presence and _client_id(admission.user) is None:
            raise Refused("Ably knows members by their user, which a guest is not")
        info = dict(admission.info if presence else public_values(admission.result) or {})
        granted = {ably_name(admission.channel): _operations(info.pop(CAPABILITY, ["*"]))}
        answer: dict[str, Any] = {"token": self._token(admission.user, granted)}
        if info:
            # By way of our own encoder, which knows what Django's does not.
            answer["info"] = json.loads(encode(info))
        return answer

    def _token(self, user: Any, granted: Capability) -> str:
        client_id = _client_id(user)
        grant = self._earlier(client_id)
        public = ["subscribe", "history"] if self.broadcaster.allows_public else []
        granted = {f"{PUBLIC}*": [*public, "channel-metadata"], **granted}
        return self.broadcaster.token(
            Grant(
                client_id=client_id,
                capability={**_newest(grant.capability, without=granted), **granted},
                issued_at=grant.issued_at,
                expires_at=grant.expires_at,
            )
        )

    def _earlier(self, client_id: str | None) -> Grant:
        """Return what the client has already: nothing if somebody else had it, or it ended."""
        try:
            grant = None if self.earlier is None else self.broadcaster.granted(self.earlier)
        except MalformedToken as error:
            raise Refused("malformed token") from error
        if grant is not None and grant.client_id == client_id:
            return grant
        now = int(time.time())
        return Grant(
            client_id=client_id,
            capability={},
            issued_at=now,
            expires_at=now + self.broadcaster.token_seconds,
        )


def _newest(capability: Capability, without: Capability) -> Capability:
    """Return what was granted last, as much as a token carries on; clients ask for more anew."""
    kept, size = {}, 0
    for name, operations in reversed(capability.items()):
        size += len(json.dumps({name: operations}))
        if size > MAX_CAPABILITY:
            break
        if name not in without:
            kept[name] = operations
    return dict(reversed(kept.items()))


def _client_id(user: Any) -> str | None:
    client_id = checked_user_id(user) if user is not None and is_authenticated(user) else None
    if client_id == "*":
        raise Refused("at Ably the client '*' may say that it is anybody")
    return client_id


def _operations(value: Any) -> list[str]:
    operations = list(value) if isinstance(value, list | tuple | set) else []
    if not operations or not all(isinstance(one, str) for one in operations):
        raise TypeError(f"{CAPABILITY!r} is a list of operations, such as ['subscribe']")
    return operations
