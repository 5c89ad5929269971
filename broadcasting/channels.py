"""Channels as the program names them: values that know their wire name, nothing else.

Who may join is decided in ``authorization``; how names are spelled, in ``protocol.names``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, Union, runtime_checkable
from uuid import UUID

from django.db.models import Model

from broadcasting.exceptions import InvalidChannelName
from broadcasting.protocol.names import (
    CACHE,
    MAX_NAME_LENGTH,
    MAX_USER_ID_LENGTH,
    USER_PREFIX,
    ChannelKind,
    base_name,
    is_channel_name,
    is_user_id,
    quote,
    unquote,
    user_channel,
)
from broadcasting.protocol.names import kind_of as _kind_of


@runtime_checkable
class HasBroadcastChannel(Protocol):
    """An object that knows the name of its own channel, without a prefix."""

    def broadcast_channel(self) -> str: ...


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Channel:
    """A public channel. ``name`` may be a model instance: ``shop.Order.1``.

    ``cache``: whether those who come later are given the last event. Frozen and hashable; two
    channels are equal if their wire names are. Raises InvalidChannelName for what Pusher's
    grammar does not allow and for an unsaved model, TypeError for what has no name at all.
    """

    prefix: ClassVar[str] = ""

    name: str
    """The wire name, prefix included."""

    def __init__(self, name: str | Model | HasBroadcastChannel, *, cache: bool = False) -> None:
        begin = f"{self.prefix}{CACHE}" if cache else self.prefix
        wire = begin + (name if isinstance(name, str) else own_name(name))
        if not is_channel_name(wire):
            raise InvalidChannelName(
                f"{wire[: MAX_NAME_LENGTH + 1]!r} is not a channel name: 1 to {MAX_NAME_LENGTH}"
                " characters out of A-Z a-z 0-9 _ - = @ , . ;"
            )
        object.__setattr__(self, "name", wire)

    @staticmethod
    def quote(text: str) -> str:
        """Return any ``text``, such as an e-mail address, as one part of a channel's name."""
        return quote(text)

    @staticmethod
    def unquote(quoted: str) -> str:
        """Return what quote() was given. Raises ValueError for what it would not have written."""
        return unquote(quoted)

    @property
    def kind(self) -> ChannelKind:
        """What the prefix asks for, read from the wire name."""
        return _kind_of(self.name)

    @property
    def base(self) -> str:
        """The name without its prefix, as rules in ``channels.py`` match it."""
        return base_name(self.name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name.removeprefix(self.prefix)!r})"

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Channel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)


class PrivateChannel(Channel):
    """A channel that a rule in ``channels.py`` must let its subscribers into."""

    prefix = ChannelKind.PRIVATE.value


class PresenceChannel(Channel):
    """A private channel whose subscribers see one another."""

    prefix = ChannelKind.PRESENCE.value


class EncryptedPrivateChannel(Channel):
    """A private channel whose payloads the server cannot read."""

    prefix = ChannelKind.ENCRYPTED.value


class UserChannel(Channel):
    """Every connection that is signed in as one user, whatever it joined.

    ``user``: the id with which the user signs in, or a user whose ``get_broadcast_id()``, else
    primary key, that is. Raises InvalidChannelName for an id that nobody can sign in with,
    TypeError for what has none.
    """

    prefix = USER_PREFIX

    def __init__(self, user: str | int | Model) -> None:
        user_id = user_id_of(user)
        if not is_user_id(user_id):
            raise InvalidChannelName(
                f"{user_id[: MAX_USER_ID_LENGTH + 1]!r} is not a user id: 1 to"
                f" {MAX_USER_ID_LENGTH} characters, none of them a control character"
            )
        object.__setattr__(self, "name", user_channel(user_id))

    @property
    def base(self) -> str:
        """The user's id."""
        return self.name.removeprefix(USER_PREFIX)


Target: TypeAlias = Union[str, Channel, Model, HasBroadcastChannel]  # noqa: UP007
"""One thing to broadcast on: a wire name, a channel, or a model (its private channel)."""

Targets: TypeAlias = Union[Target, Iterable[Target], None]  # noqa: UP007
"""Where something goes: one channel, several, or nowhere."""

TargetsByBroadcaster: TypeAlias = Mapping[str, Targets]
"""Channels for each alias of ``BROADCASTERS``, where they differ."""

_OF_KIND = {
    ChannelKind.PUBLIC: Channel,
    ChannelKind.PRIVATE: PrivateChannel,
    ChannelKind.PRESENCE: PresenceChannel,
    ChannelKind.ENCRYPTED: EncryptedPrivateChannel,
}


def own_name(target: object) -> str:
    """Return the unprefixed name of a model's own channel, as ``shop.Order.1``.

    ``target`` may have its own say with ``broadcast_channel()``. Raises InvalidChannelName
    for an unsaved model, TypeError for anything else.
    """
    if isinstance(target, HasBroadcastChannel):
        return target.broadcast_channel()
    if not isinstance(target, Model):
        raise TypeError(f"A channel is named by text or by a model, not by {_type(target)}")
    if target.pk is None:
        raise InvalidChannelName(f"{_type(target)} is not saved, so it has no channel yet")
    # Proxies and deferred classes share the rows, so they share the channel.
    return f"{target._meta.concrete_model._meta.label}.{target.pk}"  # type: ignore[union-attr]


def user_id_of(user: object) -> str:
    """Return the id of a user: text or a number as it is, of anything else see broadcast_id().

    Raises InvalidChannelName for a user without a key (a guest), TypeError for what is no user.
    """
    if isinstance(user, str | int) and not isinstance(user, bool):
        return str(user)
    if not hasattr(user, "pk") and not hasattr(user, "get_broadcast_id"):
        raise TypeError(f"A user is given by an id or by a model, not by {_type(user)}")
    user_id = broadcast_id(user)
    if user_id is None:
        raise InvalidChannelName(f"{_type(user)} has no primary key, so nobody signs in with it")
    return user_id


def broadcast_id(user: object) -> str | None:
    """Return what the server and other browsers know ``user`` by; None for a guest.

    That is its ``get_broadcast_id()``, if it has one, else its primary key. Raises TypeError for
    a ``get_broadcast_id()`` that returns something else than text, a number or a UUID.
    """
    own = getattr(user, "get_broadcast_id", None)
    if own is None:
        pk = getattr(user, "pk", None)
        return None if pk is None else str(pk)
    value = own()
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise TypeError(
            f"get_broadcast_id() of {_type(user)} returned a {_type(value)}; it returns text, a"
            " number or a UUID"
        )
    return str(value)


def from_wire(name: str) -> Channel:
    """Return the channel with the wire name ``name``, of the class its prefix asks for."""
    if name.startswith(USER_PREFIX):
        return UserChannel(name.removeprefix(USER_PREFIX))
    kind = _kind_of(name)
    return _OF_KIND[kind](name[len(kind.value) :])


def as_channels(targets: Any) -> tuple[Channel, ...]:
    """Return what ``broadcast_on()`` returned as channels, each once, in order.

    Raises InvalidChannelName, and TypeError for what cannot name a channel.
    """
    if isinstance(targets, Channel):
        return (targets,)
    if targets is None:
        return ()
    if _is_one(targets):
        return (as_channel(targets),)
    if isinstance(targets, Mapping) or not isinstance(targets, Iterable):
        raise TypeError(
            "broadcast_on() returns a channel, a wire name, a model, or several of them;"
            f" not {_type(targets)}"
        )
    return tuple(dict.fromkeys(as_channel(target) for target in targets))


def as_channel(target: Target) -> Channel:
    """Return one target as a channel: text is a wire name, a model its private channel."""
    if isinstance(target, Channel):
        return target
    return from_wire(target) if isinstance(target, str) else PrivateChannel(target)


def _is_one(targets: object) -> bool:
    return isinstance(targets, str | Channel | Model | HasBroadcastChannel)


def _type(value: object) -> str:
    return type(value).__name__
