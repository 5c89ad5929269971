"""The signed answers of the auth views.

The data string is made once: signed as it is returned, byte for byte. Whoever calls has
validated the socket id and the channel name, which are joined by colons here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings as django_settings
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from broadcasting.applications import Application, default_application
from broadcasting.authorization.guards import is_authenticated
from broadcasting.authorization.outcomes import Refused
from broadcasting.channels import broadcast_id
from broadcasting.conf import get_settings
from broadcasting.encoding import encode
from broadcasting.encryption import channel_key
from broadcasting.protocol.encryption import shared_secret
from broadcasting.protocol.names import MAX_USER_ID_LENGTH, is_user_id
from broadcasting.protocol.signing import authorization, channel_text, user_text
from broadcasting.shown import public_values

logger = logging.getLogger("broadcasting.authorization")

ROOM = 256
"""Bytes that a client may add to the frame of a sign-in, as blanks between its parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Whose secret signs."""

    application: Application
    ours: bool
    """Whether our own server verifies, which understands more than the plain form."""


def find_signer(via: str | None = None) -> Signer:
    """Return the application of the broadcaster ``via``, else the first of APPLICATIONS.

    ``via``: its alias; None: the default one.
    """
    conf = get_settings()
    entry = conf.broadcasters.get(via or conf.default_broadcaster)
    options = entry.options if entry else {}
    key, secret = options.get("key"), options.get("secret")
    if isinstance(key, str) and isinstance(secret, str):
        foreign = Application(
            id=str(options.get("app_id", "")),
            key=key,
            secret=secret,
            encryption_master_key=options.get("encryption_master_key"),
        )
        return Signer(application=foreign, ours=options.get("ours") is True)
    return Signer(application=default_application(options.get("application")), ours=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """When an answer was asked for, and by which session."""

    at: int
    """Milliseconds since 1970, taken before anything is decided: what is revoked while a rule
    thinks must count as revoked after it."""

    session: str | None = field(default=None, repr=False)
    """A hash of the session that the user was found in."""


def session_hash(key: str) -> str:
    """Return what the server is told of a session: enough to know it by, not to enter it."""
    return salted_hmac("broadcasting.session", key, algorithm="sha256").hexdigest()[:16]


def session_of(request: HttpRequest) -> str | None:
    """Return the hash of the session of ``request``; None without one.

    Empty for one that is in a cookie: its key is all that it holds, so that it changes.
    """
    session = getattr(request, "session", None)
    if isinstance(session, CookieSession):
        return ""
    key = getattr(session, "session_key", None)
    return session_hash(key) if isinstance(key, str) else None


def sign_private(
    signer: Signer, socket_id: str, channel: str, user: Any, asked: Asked | None = None
) -> dict[str, str]:
    """Return the answer for a private channel.

    Our own server is told who the socket belongs to and when that was asked (``asked``; None:
    not said), so that access can be revoked.
    """
    user_id = checked_user_id(user) if signer.ours and is_authenticated(user) else None
    if user_id is None:
        return _signed(signer, socket_id, channel, None)
    known: dict[str, Any] = {"user_id": user_id}
    if asked is not None:
        known["at"] = asked.at
        if asked.session is not None:
            known["session"] = asked.session
    return _signed(signer, socket_id, channel, encode(known))


def sign_encrypted(
    signer: Signer, socket_id: str, channel: str, user: Any, asked: Asked | None = None
) -> dict[str, str]:
    """Return the answer for an encrypted channel: a private one's, with the channel's key.

    Clients keep the key to themselves. Raises EncryptionUnavailable.
    """
    secret = shared_secret(channel_key(signer.application, channel))
    return {**sign_private(signer, socket_id, channel, user, asked), "shared_secret": secret}


def sign_user(signer: Signer, socket_id: str, user_data: Mapping[str, Any]) -> dict[str, str]:
    """Return the answer for a user who signs in. Raises Refused, or PayloadError."""
    if not is_user_id(user_data.get("id")):
        raise Refused(
            f"the id of a user is text of 1 to {MAX_USER_ID_LENGTH} characters,"
            " none of them a control character"
        )
    if signer.ours and user_data.get("user_info") is not None:
        _check_info(signer, user_data["user_info"])
    data = encode(user_data)
    answer = {
        "auth": authorization(signer.application, user_text(socket_id, data)),
        "user_data": data,
    }
    # As the client sends it back: text within JSON, whose quotes are escaped.
    limit = signer.application.max_message_size
    if signer.ours and _size({"event": "pusher:signin", "data": answer}) + ROOM > limit:
        raise Refused(f"what is said of the user is larger than {limit} bytes (max_message_size)")
    return answer


def sign_presence(
    signer: Signer, socket_id: str, channel: str, user: Any, info: Mapping[str, Any]
) -> dict[str, str]:
    """Return the answer for a presence channel. Raises Refused, or PayloadError."""
    member = member_data(user, info)
    if signer.ours:
        _check_info(signer, info)
    return _signed(signer, socket_id, channel, encode(member))


def member_data(user: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return who joins a presence channel, and what the others see. Raises Refused."""
    own = info.get("id")
    user_id = checked_user_id(user) if own is None else _checked(str(own))
    if user_id is None:
        raise Refused("a member without a primary key needs an 'id' in what the rule returns")
    return {"user_id": user_id, "user_info": info}


def member_info(result: Any, user: Any, rule: str) -> dict[str, Any]:
    """Return the user info in a truthy ``result`` of ``rule``.

    Only what is meant as data is shown to others: a bare True, or a model that happens to
    be truthy, becomes the user's id alone.
    """
    # A serializer of REST framework, known by its method, as nobody has to install that.
    serializes = callable(getattr(type(result), "to_representation", None))
    values = public_values(result.data if serializes else result)
    if values is not None:
        return dict(values)
    if django_settings.DEBUG:
        logger.warning(
            "%s returned %s for a presence channel; the others see the user's id only."
            " Return a dict of what they may see.",
            rule,
            type(result).__name__,
        )
    if hasattr(user, "get_broadcast_id"):
        return {"id": broadcast_id(user)}
    pk = getattr(user, "pk", None)
    return {} if pk is None else {"id": pk}


def _check_info(signer: Signer, info: Any) -> None:
    limit = signer.application.max_presence_member_size_kb
    if _size(info) > limit * 1024:
        raise Refused(f"the user info is larger than {limit} KB (max_presence_member_size_kb)")


def _size(data: Any) -> int:
    """Return the bytes of ``data`` on the wire: a string as it is, the rest as JSON."""
    text = data if isinstance(data, str) else encode(data)
    return len(text.encode("utf-8", "surrogatepass"))


def checked_user_id(user: Any) -> str | None:
    """Return what ``user`` is known by; None for a guest. Raises Refused, or TypeError."""
    user_id = broadcast_id(user)
    return None if user_id is None else _checked(user_id)


def _checked(user_id: str) -> str:
    # What nobody could revoke by its name must not get in either.
    if not is_user_id(user_id):
        raise Refused(
            f"a user id must have 1 to {MAX_USER_ID_LENGTH} characters, none of them a control"
            " character"
        )
    return user_id


def _signed(signer: Signer, socket_id: str, channel: str, data: str | None) -> dict[str, str]:
    auth = authorization(signer.application, channel_text(socket_id, channel, data))
    return {"auth": auth} if data is None else {"auth": auth, "channel_data": data}
